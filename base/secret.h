// The box that key bits live in: move-only, wiped when it goes, not printable, compared in constant time, in memory
// that is neither swapped nor dumped (secret_heap.h). The bytes leave it only through reveal() and reveal_mutable(): to
// review where key bits go, search for these two names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace qkms {

// Overwrites memory in a way that the compiler may not remove.
void wipe(std::span<std::uint8_t> bytes) noexcept;

// Overwrites what secrets leave behind where no box can hold them: this thread's vector registers, which memcpy and
// ciphers work in, and the part of its stack below the caller. For a thread that handled secrets and now goes to sleep:
// asleep it would show them to whoever reads its memory, for as long as it sleeps. Takes about half a microsecond.
void wipe_traces() noexcept;

// Thread rule: as a plain value, no sharing without a lock. Making one throws std::bad_alloc when there is no memory.
class SecretBytes {
 public:
  SecretBytes() noexcept = default;
  explicit SecretBytes(std::size_t size);  // zeroes
  static SecretBytes copy_of(std::span<const std::uint8_t> bytes);

  SecretBytes(SecretBytes&& other) noexcept
      : bytes_(std::exchange(other.bytes_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { clear(); }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  std::span<const std::uint8_t> reveal() const { return {bytes_, size_}; }
  std::span<std::uint8_t> reveal_mutable() { return {bytes_, size_}; }

  // A copy of a part, for the few places where bits must be at two places for a moment.
  SecretBytes slice(std::size_t offset, std::size_t size) const { return copy_of(reveal().subspan(offset, size)); }

  // Constant time in the contents; the sizes are public.
  bool equals(const SecretBytes& other) const noexcept;

  void clear() noexcept;

 private:
  std::uint8_t* bytes_ = nullptr;  // null when size_ is 0
  std::size_t size_ = 0;
};

}  // namespace qkms
