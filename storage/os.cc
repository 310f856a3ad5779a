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

bool write_durably(int descriptor, std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return ::fsync(descriptor) == 0;
}

Result<std::vector<std::uint8_t>> read_regular_file(const std::filesystem::path& file, const std::string& what,
                                                    std::size_t limit) {
  const FileDescriptor descriptor(::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!descriptor.is_open()) return system_failure("cannot open the " + what, file);
  struct stat status{};
  if (::fstat(descriptor.get(), &status) != 0) return system_failure("cannot examine the " + what, file);
  if (!S_ISREG(status.st_mode))
    return fail(ErrorCode::kInvalid, "the " + what + " " + file.string() + " is not a file");
  if (static_cast<std::size_t>(status.st_size) > limit) {
    return fail(ErrorCode::kCorrupt, "the " + what + " " + file.string() + " is too long");
  }
  std::vector<std::uint8_t> content(static_cast<std::size_t>(status.st_size));
  std::size_t size = 0;
  while (size < content.size()) {
    const ssize_t got = ::read(descriptor.get(), content.data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_failure("cannot read the " + what, file);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  content.resize(size);
  return content;
}

namespace {

// So that what the medium keeps of a file that has no name any more tells nothing. The best that can be done from here:
// flash, and file systems that copy on writing, may keep more.
void overwrite(int descriptor) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 0) return;
  const std::vector<std::uint8_t> zeroes(static_cast<std::size_t>(status.st_size));
  [[maybe_unused]] const bool written = write_durably(descriptor, zeroes);
}

// A file that was to become another one, and will not.
void discard(const std::filesystem::path& file) {
  const FileDescriptor descriptor(::open(file.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!descriptor.is_open() && errno == ENOENT) return;
  ::unlink(file.c_str());
  if (descriptor.is_open()) overwrite(descriptor.get());
}

Result<void> write_and_rename(const std::filesystem::path& aside, const std::filesystem::path& file,
                              std::span<const std::uint8_t> content) {
  const FileDescriptor descriptor(::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!descriptor.is_open()) return system_failure("cannot create", aside);
  if (!write_durably(descriptor.get(), content)) return system_failure("cannot write", aside);
  if (::rename(aside.c_str(), file.c_str()) != 0) return system_failure("cannot put a new file in place of", file);
  return {};
}

}  // namespace

Result<void> replace_file(const std::filesystem::path& file, std::span<const std::uint8_t> content) {
  const FileDescriptor before(::open(file.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  std::filesystem::path aside = file;
  aside += ".new";
  discard(aside);  // of a process that died
  if (Result<void> renamed = write_and_rename(aside, file, content); !renamed) {
    discard(aside);
    return renamed;
  }
  if (Result<void> synced = sync_folder_of(file); !synced) return synced;
  if (before.is_open()) overwrite(before.get());
  return {};
}

Result<void> create_file(const std::filesystem::path& file, const std::string& what,
                         std::span<const std::uint8_t> content) {
  const FileDescriptor descriptor(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!descriptor.is_open()) return system_failure("cannot create the " + what, file);
  if (!write_durably(descriptor.get(), content)) {
    std::unexpected<Error> failure = system_failure("cannot write the " + what, file);
    ::unlink(file.c_str());
    return failure;
  }
  return sync_folder_of(file);
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
