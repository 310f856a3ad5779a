// See key_file.h. Everything is decided on the open descriptor, so that nobody can swap the file between a check and
// the read.
#include "storage/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/text.h"
#include "storage/os.h"

namespace qkms::storage {
namespace {

constexpr std::size_t kHexBytes = 2 * kMasterKeyBytes;
constexpr std::size_t kMaxFileBytes = kHexBytes + 1;

std::unexpected<Error> refuse(const std::filesystem::path& file, std::string_view why) {
  return fail(ErrorCode::kInvalid, "the master key file " + file.string() + " " + std::string(why));
}

Result<void> check_file(int descriptor, const std::filesystem::path& file) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) return system_failure("cannot examine the master key file", file);
  if (!S_ISREG(status.st_mode)) return refuse(file, "is not a regular file");
  if (status.st_uid != ::geteuid()) return refuse(file, "belongs to another user than the one who runs this program");
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return refuse(file, "is open to its group or to others: chmod it to 0600 and consider the key known");
  }
  if (status.st_size == 0) return refuse(file, "is empty");
  if (status.st_size > static_cast<off_t>(kMaxFileBytes)) {
    return refuse(file, "is too long: it must hold 32 bytes, or 64 hexadecimal digits");
  }
  return {};
}

// Up to one byte more than is allowed, to notice a file that grew after it was checked.
Result<SecretBytes> read_all(int descriptor, const std::filesystem::path& file) {
  SecretBytes buffer(kMaxFileBytes + 1);
  std::size_t size = 0;
  while (size < buffer.size()) {
    const ssize_t got = ::read(descriptor, buffer.reveal_mutable().data() + size, buffer.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_failure("cannot read the master key file", file);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  return buffer.slice(0, size);
}

Result<SecretBytes> from_hex(const SecretBytes& text, const std::filesystem::path& file) {
  SecretBytes key(kMasterKeyBytes);
  for (std::size_t i = 0; i < kMasterKeyBytes; ++i) {
    const int high = hex_value(static_cast<char>(text.reveal()[2 * i]));
    const int low = hex_value(static_cast<char>(text.reveal()[2 * i + 1]));
    if (high < 0 || low < 0) return refuse(file, "has a character in it that is no hexadecimal digit");
    key.reveal_mutable()[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return key;
}

bool is_hexadecimal(const SecretBytes& content) {
  return std::ranges::all_of(content.reveal(),
                             [](std::uint8_t byte) { return hex_value(static_cast<char>(byte)) >= 0; });
}

Result<SecretBytes> draw_key_text() {
  SecretBytes key(kMasterKeyBytes);
  if (Result<void> drawn = fill_random(key.reveal_mutable()); !drawn) return std::unexpected(drawn.error());
  SecretBytes text(kMaxFileBytes);
  for (std::size_t i = 0; i < key.size(); ++i) {
    text.reveal_mutable()[2 * i] = static_cast<std::uint8_t>(kHexDigits[key.reveal()[i] >> 4]);
    text.reveal_mutable()[2 * i + 1] = static_cast<std::uint8_t>(kHexDigits[key.reveal()[i] & 15]);
  }
  text.reveal_mutable().back() = '\n';
  return text;
}

}  // namespace

Result<SecretBytes> read_key_file(const std::filesystem::path& file) {
  const FileDescriptor descriptor(::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!descriptor.is_open()) {
    if (errno == ELOOP) return refuse(file, "is a symbolic link");
    return system_failure("cannot open the master key file", file);
  }
  if (Result<void> checked = check_file(descriptor.get(), file); !checked) return std::unexpected(checked.error());
  Result<SecretBytes> content = read_all(descriptor.get(), file);
  if (!content) return content;
  // Chance does not draw such bytes, and they would be a key of 128 bits.
  if (content->size() == kMasterKeyBytes && is_hexadecimal(*content)) {
    return refuse(file, "holds 32 hexadecimal digits, as when a key of 64 was cut");
  }
  if (content->size() == kMasterKeyBytes) return content;
  const bool ends_in_newline = content->size() == kMaxFileBytes && content->reveal().back() == '\n';
  if (content->size() == kHexBytes || ends_in_newline) return from_hex(*content, file);
  return refuse(file, "must hold 32 bytes, or 64 hexadecimal digits and a newline, and nothing else");
}

Result<void> create_key_file(const std::filesystem::path& file) {
  Result<SecretBytes> text = draw_key_text();
  if (!text) return std::unexpected(text.error());
  const FileDescriptor descriptor(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!descriptor.is_open()) return system_failure("cannot create the master key file", file);
  if (!write_durably(descriptor.get(), text->reveal())) {
    std::unexpected<Error> failure = system_failure("cannot write the master key file", file);
    ::unlink(file.c_str());
    return failure;
  }
  return sync_folder_of(file);
}

Result<void> KeyFileProvider::check() const {
  const Result<SecretBytes> key = read_key_file(file_);
  if (!key) return std::unexpected(key.error());
  return {};
}

}  // namespace qkms::storage
