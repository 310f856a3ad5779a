// See os.h.
#include "storage/os.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

namespace qkms::storage {

Result<void> sync_folder_of(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  const FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor.is_open() || ::fsync(descriptor.get()) != 0) return system_failure("cannot sync the folder", folder);
  return {};
}

bool FilePlace::holds() {
  struct stat status{};
  const bool there = ::stat(path_.c_str(), &status) == 0;
  if (!seen_ && there) {
    seen_ = true;
    device_ = status.st_dev;
    inode_ = status.st_ino;
  }
  return !seen_ || (there && status.st_dev == device_ && status.st_ino == inode_);
}

Result<void> fill_random(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail(ErrorCode::kIo, "the operating system gives no random bytes");
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

}  // namespace qkms::storage
