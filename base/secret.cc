#include "base/secret.h"

#include <string.h>

#include "base/sanitizer.h"
#include "base/secret_heap.h"

namespace qkms {
namespace {

// Deeper than any call that has secrets in its frames.
constexpr std::size_t kStackBytes = 32 * 1024;

// Under a sanitizer secrets are on its own heap: it finds what is read or written out of bounds or too late, which the
// secret heap would hide from it.
std::uint8_t* allocate(std::size_t size) {
  if constexpr (kSanitized) return new std::uint8_t[size]();
  return SecretHeap::of_process().allocate(size);
}

void release(std::uint8_t* bytes, std::size_t size) noexcept {
  if constexpr (!kSanitized) return SecretHeap::of_process().release(bytes, size);
  wipe({bytes, size});
  delete[] bytes;
}

[[gnu::noinline]] void wipe_stack() noexcept {
  std::uint8_t below[kStackBytes];
  explicit_bzero(below, sizeof below);
}

#if defined(__x86_64__)

// Code for plain x86-64 names the lower halves of the registers only; these clear them as wide as the processor has
// them.
[[gnu::noinline, gnu::target("avx")]] void wipe_wide_registers() noexcept { __asm__ volatile("vzeroall" ::: "memory"); }

[[gnu::noinline, gnu::target("avx512f")]] void wipe_widest_registers() noexcept {
  __asm__ volatile(
      "vpxord %%zmm16, %%zmm16, %%zmm16\n\tvpxord %%zmm17, %%zmm17, %%zmm17\n\t"
      "vpxord %%zmm18, %%zmm18, %%zmm18\n\tvpxord %%zmm19, %%zmm19, %%zmm19\n\t"
      "vpxord %%zmm20, %%zmm20, %%zmm20\n\tvpxord %%zmm21, %%zmm21, %%zmm21\n\t"
      "vpxord %%zmm22, %%zmm22, %%zmm22\n\tvpxord %%zmm23, %%zmm23, %%zmm23\n\t"
      "vpxord %%zmm24, %%zmm24, %%zmm24\n\tvpxord %%zmm25, %%zmm25, %%zmm25\n\t"
      "vpxord %%zmm26, %%zmm26, %%zmm26\n\tvpxord %%zmm27, %%zmm27, %%zmm27\n\t"
      "vpxord %%zmm28, %%zmm28, %%zmm28\n\tvpxord %%zmm29, %%zmm29, %%zmm29\n\t"
      "vpxord %%zmm30, %%zmm30, %%zmm30\n\tvpxord %%zmm31, %%zmm31, %%zmm31" ::
          : "memory");
}

void wipe_vector_registers() noexcept {
  if (__builtin_cpu_supports("avx512f")) wipe_widest_registers();
  if (__builtin_cpu_supports("avx")) wipe_wide_registers();
}

#else

void wipe_vector_registers() noexcept {}  // what the attribute of wipe_traces() clears is all there is

#endif

}  // namespace

void wipe(std::span<std::uint8_t> bytes) noexcept {
  if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());
}

[[gnu::noinline, gnu::zero_call_used_regs("all")]] void wipe_traces() noexcept {
  wipe_stack();
  wipe_vector_registers();
}

SecretBytes::SecretBytes(std::size_t size) : bytes_(size > 0 ? allocate(size) : nullptr), size_(size) {}

SecretBytes SecretBytes::copy_of(std::span<const std::uint8_t> bytes) {
  SecretBytes copy(bytes.size());
  if (!bytes.empty()) memcpy(copy.bytes_, bytes.data(), bytes.size());
  return copy;
}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this != &other) {
    clear();
    bytes_ = std::exchange(other.bytes_, nullptr);
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
  if (bytes_ == nullptr) return;
  release(std::exchange(bytes_, nullptr), std::exchange(size_, 0));
}

}  // namespace qkms
