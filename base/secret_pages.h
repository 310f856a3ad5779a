// Pages for secrets: never in a core dump, never on a swap device as far as the system lets us lock them, between two
// guard pages that nothing may touch.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qkms {

// Thread rule: as a plain value.
class SecretPages {
 public:
  // At least `bytes`, all zero. Throws std::bad_alloc when the system has none, or cannot keep them out of core dumps.
  explicit SecretPages(std::size_t bytes);
  ~SecretPages();
  SecretPages(const SecretPages&) = delete;
  SecretPages& operator=(const SecretPages&) = delete;

  std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }
  // False: RLIMIT_MEMLOCK is used up, and these pages may be swapped.
  bool locked() const { return locked_; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  bool locked_ = false;
};

}  // namespace qkms
