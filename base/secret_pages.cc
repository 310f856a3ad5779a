#include "base/secret_pages.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace qkms {
namespace {

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

SecretPages::SecretPages(std::size_t bytes) {
  const std::size_t page = page_bytes();
  if (bytes > SIZE_MAX / 2) throw std::bad_alloc();
  size_ = (bytes + page - 1) / page * page;
  const std::size_t mapped = size_ + 2 * page;
  void* const whole = ::mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (whole == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::uint8_t*>(whole) + page;
  if (::mprotect(data_, size_, PROT_READ | PROT_WRITE) != 0 || ::madvise(data_, size_, MADV_DONTDUMP) != 0) {
    ::munmap(whole, mapped);
    throw std::bad_alloc();
  }
  locked_ = ::mlock(data_, size_) == 0;
}

SecretPages::~SecretPages() {
  const std::size_t page = page_bytes();
  ::explicit_bzero(data_, size_);
  ::munmap(data_ - page, size_ + 2 * page);
}

}  // namespace qkms
