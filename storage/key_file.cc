// See key_file.h.
#include "storage/key_file.h"

#include <algorithm>

#include "base/text.h"
#include "storage/os.h"
#include "storage/secret_file.h"

namespace qkms::storage {
namespace {

constexpr std::size_t kHexBytes = 2 * kMasterKeyBytes;
constexpr std::size_t kMaxFileBytes = kHexBytes + 1;

std::unexpected<Error> refuse(const std::string& what, std::string_view why) {
  return fail(ErrorCode::kInvalid, what + " " + std::string(why));
}

Result<SecretBytes> from_hex(const SecretBytes& text, const std::string& what) {
  SecretBytes key(kMasterKeyBytes);
  for (std::size_t i = 0; i < kMasterKeyBytes; ++i) {
    const int high = hex_value(static_cast<char>(text.reveal()[2 * i]));
    const int low = hex_value(static_cast<char>(text.reveal()[2 * i + 1]));
    if (high < 0 || low < 0) return refuse(what, "has a character in it that is no hexadecimal digit");
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

// `what` names the place in errors: "the file /etc/qkms/master.key".
Result<SecretBytes> key_in(const SecretBytes& content, const std::string& what) {
  // Chance does not draw such bytes, and they would be a key of 128 bits.
  if (content.size() == kMasterKeyBytes && is_hexadecimal(content)) {
    return refuse(what, "holds 32 hexadecimal digits, as when a key of 64 was cut");
  }
  if (content.size() == kMasterKeyBytes) return SecretBytes::copy_of(content.reveal());
  const bool ends_in_newline = content.size() == kMaxFileBytes && content.reveal().back() == '\n';
  if (content.size() == kHexBytes || ends_in_newline) return from_hex(content, what);
  return refuse(what, "must hold 32 bytes, or 64 hexadecimal digits and a newline, and nothing else");
}

Result<void> without_value(const Result<SecretBytes>& key) {
  if (!key) return std::unexpected(key.error());
  return {};
}

}  // namespace

Result<SecretBytes> read_key_file(const std::filesystem::path& file) {
  const Result<SecretBytes> content = read_secret_file(file, "master key file", kMaxFileBytes);
  if (!content) return std::unexpected(content.error());
  return key_in(*content, "the master key file " + file.string());
}

Result<void> create_key_file(const std::filesystem::path& file) {
  const Result<SecretBytes> text = draw_key_text();
  if (!text) return std::unexpected(text.error());
  return create_file(file, "master key file", text->reveal());
}

Result<void> KeyFileProvider::check() const { return without_value(fetch({})); }

Result<SecretBytes> CredentialProvider::fetch(const SecretBytes&) const {
  const Result<SecretBytes> content = read_credential(name_, "credential", kMaxFileBytes);
  if (!content) return std::unexpected(content.error());
  return key_in(*content, describe());
}

Result<void> CredentialProvider::check() const { return without_value(fetch({})); }

Result<void> CredentialProvider::create(const SecretBytes&) const {
  return fail(ErrorCode::kInvalid,
              "credentials are made by systemd-creds: make a key with file:PATH, then: "
              "systemd-creds encrypt --name=" +
                  name_ + " PATH /etc/qkms/" + name_ + ".cred");
}

}  // namespace qkms::storage
