// See os.h.
#include "storage/os.h"

#include <fcntl.h>
#include <sys/random.h>

namespace qkms::storage {

Result<void> sync_folder_of(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  const FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor.is_open() || ::fsync(descriptor.get()) != 0) return system_failure("cannot sync the folder", folder);
  return {};
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
