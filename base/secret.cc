#include "base/secret.h"

#include <string.h>

namespace qkms {

void wipe(std::span<std::uint8_t> bytes) noexcept {
  if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());
}

SecretBytes::SecretBytes(std::size_t size)
    : bytes_(size ? std::make_unique<std::uint8_t[]>(size) : nullptr), size_(size) {}

SecretBytes SecretBytes::copy_of(std::span<const std::uint8_t> bytes) {
  SecretBytes copy;
  if (bytes.empty()) return copy;
  copy.bytes_ = std::make_unique_for_overwrite<std::uint8_t[]>(bytes.size());
  copy.size_ = bytes.size();
  memcpy(copy.bytes_.get(), bytes.data(), bytes.size());
  return copy;
}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this != &other) {
    clear();
    bytes_ = std::move(other.bytes_);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

bool SecretBytes::equals(const SecretBytes& other) const noexcept {
  if (size_ != other.size_) return false;
  std::uint8_t difference = 0;
  for (std::size_t i = 0; i < size_; ++i)
    difference = static_cast<std::uint8_t>(difference | (bytes_[i] ^ other.bytes_[i]));
  return difference == 0;
}

void SecretBytes::clear() noexcept {
  wipe({bytes_.get(), size_});
  bytes_.reset();
  size_ = 0;
}

}  // namespace qkms
