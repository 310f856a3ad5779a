// What this folder needs of the operating system besides SQLite: open files, durable folders, random bytes, errno as an
// Error.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file_descriptor.h"

namespace qkms::storage {

// Notices that the file at a path is no longer the one that was there.
class FilePlace {
 public:
  explicit FilePlace(std::filesystem::path path) : path_(std::move(path)) { static_cast<void>(holds()); }
  // One stat(). A file that was not there at first is taken as it is when it comes.
  bool holds();

 private:
  std::filesystem::path path_;
  bool seen_ = false;
  std::uint64_t device_ = 0, inode_ = 0;
};

// "<what> <path>: <what errno says>". Reads errno, so call it first.
inline std::unexpected<Error> system_failure(std::string_view what, const std::filesystem::path& path) {
  const int number = errno;
  const ErrorCode code = number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  return fail(code, std::string(what) + " " + path.string() + ": " + std::generic_category().message(number));
}

// Makes the creation of a file in its folder durable.
Result<void> sync_folder_of(const std::filesystem::path& file);

// Writes all of it and syncs; false with errno set when that was not possible.
bool write_durably(int descriptor, std::span<const std::uint8_t> bytes);

// The content of a regular file of at most `limit` bytes. Never blocks. `what` names it in errors.
Result<std::vector<std::uint8_t>> read_regular_file(const std::filesystem::path& file, const std::string& what,
                                                    std::size_t limit);

// Puts a file of this content, mode 0600, in place of the one that is there, if any: after a crash at any instant one
// of the two is there, whole. What was replaced is overwritten once the new one is durable, and a new one that did not
// come into place at once. After an error either may be there.
Result<void> replace_file(const std::filesystem::path& file, std::span<const std::uint8_t> content);

// Makes a file of this content, mode 0600, durably. One that is there is never touched. `what` names it in errors.
Result<void> create_file(const std::filesystem::path& file, const std::string& what,
                         std::span<const std::uint8_t> content);

// Fills with bits fit for keys; waits for the kernel's generator at boot, and fails rather than give anything less.
Result<void> fill_random(std::span<std::uint8_t> out);

}  // namespace qkms::storage
