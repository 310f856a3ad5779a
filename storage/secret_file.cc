// See secret_file.h.
#include "storage/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "storage/os.h"

namespace qkms::storage {
namespace {

// A file as errors name it: "the master key file /etc/qkms/master.key".
struct Named {
  std::string what;
  std::filesystem::path file;

  std::unexpected<Error> refuse(std::string_view why) const {
    return fail(ErrorCode::kInvalid, "the " + what + " " + file.string() + " " + std::string(why));
  }
  std::unexpected<Error> failure(std::string_view verb) const {
    return system_failure("cannot " + std::string(verb) + " the " + what, file);
  }
};

struct Rules {
  bool root_may_own = false;
  mode_t forbidden = S_IRWXG | S_IRWXO;
};
constexpr Rules kOwnFile;
constexpr Rules kFromServiceManager = {.root_may_own = true, .forbidden = S_IWGRP | S_IXGRP | S_IRWXO};
constexpr Rules kItsFolder = {.root_may_own = true, .forbidden = S_IWGRP | S_IRWXO};

Result<void> check_holder(const struct stat& status, const Named& named, const Rules& rules) {
  const bool owned = status.st_uid == ::geteuid() || (rules.root_may_own && status.st_uid == 0);
  if (!owned) return named.refuse("belongs to another user than the one who runs this program");
  if ((status.st_mode & rules.forbidden) == 0) return {};
  return named.refuse("is open to its group or to others: chmod it to 0600 and consider the key known");
}

Result<void> check_file(int descriptor, const Named& named, const Rules& rules, std::size_t limit) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) return named.failure("examine");
  if (!S_ISREG(status.st_mode)) return named.refuse("is not a regular file");
  if (Result<void> held = check_holder(status, named, rules); !held) return held;
  if (status.st_size == 0) return named.refuse("is empty");
  if (status.st_size > static_cast<off_t>(limit)) return named.refuse("is too long");
  return {};
}

// Up to one byte more than is allowed, to notice a file that grew after it was checked.
Result<SecretBytes> read_all(int descriptor, const Named& named, std::size_t limit) {
  SecretBytes buffer(limit + 1);
  std::size_t size = 0;
  while (size < buffer.size()) {
    const ssize_t got = ::read(descriptor, buffer.reveal_mutable().data() + size, buffer.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return named.failure("read");
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size == 0) return named.refuse("is empty");
  if (size > limit) return named.refuse("is too long");
  return buffer.slice(0, size);
}

Result<SecretBytes> read_at(int folder, const char* name, const Named& named, const Rules& rules, std::size_t limit) {
  const FileDescriptor descriptor(::openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!descriptor.is_open()) return errno == ELOOP ? named.refuse("is a symbolic link") : named.failure("open");
  if (Result<void> checked = check_file(descriptor.get(), named, rules, limit); !checked) {
    return std::unexpected(checked.error());
  }
  return read_all(descriptor.get(), named, limit);
}

Result<FileDescriptor> open_credentials(const std::filesystem::path& folder) {
  const Named named{"credentials folder", folder};
  FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!descriptor.is_open()) return named.failure("open");
  struct stat status{};
  if (::fstat(descriptor.get(), &status) != 0) return named.failure("examine");
  if (Result<void> held = check_holder(status, named, kItsFolder); !held) return std::unexpected(held.error());
  return descriptor;
}

}  // namespace

Result<SecretBytes> read_secret_file(const std::filesystem::path& file, const std::string& what, std::size_t limit) {
  return read_at(AT_FDCWD, file.c_str(), {what, file}, kOwnFile, limit);
}

Result<SecretBytes> read_credential(const std::string& name, const std::string& what, std::size_t limit) {
  const char* const folder = std::getenv("CREDENTIALS_DIRECTORY");
  if (folder == nullptr) {
    return fail(ErrorCode::kNotFound, "the credential " + name +
                                          " is not there, since systemd passed none: the unit needs "
                                          "LoadCredentialEncrypted=" +
                                          name + ":/etc/qkms/" + name + ".cred, and only its processes have it");
  }
  const Result<FileDescriptor> opened = open_credentials(folder);
  if (!opened) return std::unexpected(opened.error());
  return read_at(opened->get(), name.c_str(), {what, std::filesystem::path(folder) / name}, kFromServiceManager, limit);
}

bool is_credential_name(std::string_view name) {
  constexpr std::size_t kLongest = 255;  // NAME_MAX
  const auto allowed = [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != ':'; };
  return !name.empty() && name.size() <= kLongest && name != "." && name != ".." && std::ranges::all_of(name, allowed);
}

}  // namespace qkms::storage
