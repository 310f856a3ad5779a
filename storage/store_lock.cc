// See store_lock.h. The holder writes its process number into the file, for people; nothing is decided by it.
#include "storage/store_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <string>

namespace qkms::storage {
namespace {

std::string holder_of(int descriptor) {
  std::array<char, 16> text{};
  const ssize_t size = ::pread(descriptor, text.data(), text.size(), 0);
  std::string digits;
  for (ssize_t i = 0; i < size && std::isdigit(static_cast<unsigned char>(text[static_cast<std::size_t>(i)])) != 0;
       ++i) {
    digits += text[static_cast<std::size_t>(i)];
  }
  return digits.empty() ? "another process" : "process " + digits;
}

// A full disk may leave the number out: the lock holds all the same.
void note_holder(int descriptor) {
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(descriptor, 0) != 0) return;
  [[maybe_unused]] const ssize_t written = ::pwrite(descriptor, text.data(), text.size(), 0);
}

}  // namespace

Result<StoreLock> StoreLock::acquire(const std::filesystem::path& store) {
  std::filesystem::path path = store;
  path += ".lock";
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.is_open()) return system_failure("cannot open the store's lock file", path);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_failure("cannot lock", path);
    return fail(ErrorCode::kClosed, "the store " + store.string() + " is in use by " + holder_of(file.get()) +
                                        ": it holds " + path.string());
  }
  note_holder(file.get());
  return StoreLock(std::move(file), std::move(path));
}

bool StoreLock::is_in_place() const {
  struct stat locked{}, there{};
  return ::fstat(file_.get(), &locked) == 0 && ::lstat(path_.c_str(), &there) == 0 && locked.st_dev == there.st_dev &&
         locked.st_ino == there.st_ino;
}

}  // namespace qkms::storage
