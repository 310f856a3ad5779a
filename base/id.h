// Names of things: SAEs, KMEs, links (text), keys and blocks (128 bits). Each is a type of its own; none converts into
// another.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace qkms {

// True for 1 to 320 bytes of printable ASCII without a blank at either end: the one allow-list for IDs, whether they
// come from a path, a certificate or a configuration file (shared decision 5 on ETSI GS QKD 014).
bool is_valid_id(std::string_view text);
inline constexpr std::size_t kMaxIdBytes = 320;

// A textual identifier. Compared exactly, byte for byte, case included.
template <class Tag>
class TextId {
 public:
  TextId() = default;

  static Result<TextId> parse(std::string_view text) {
    if (!is_valid_id(text)) {
      return fail(ErrorCode::kInvalid, "an ID is 1 to 320 characters of printable ASCII without a blank at either end");
    }
    return TextId(std::string(text));
  }

  const std::string& str() const { return text_; }
  bool empty() const { return text_.empty(); }
  auto operator<=>(const TextId&) const = default;

 private:
  explicit TextId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

using SaeId = TextId<struct SaeTag>;
using KmeId = TextId<struct KmeTag>;
using LinkId = TextId<struct LinkTag>;

// 128 bits that print as a UUID (RFC 9562).
template <class Tag>
class Uuid {
 public:
  using Bytes = std::array<std::uint8_t, 16>;

  constexpr Uuid() = default;
  constexpr explicit Uuid(const Bytes& bytes) : bytes_(bytes) {}

  const Bytes& bytes() const { return bytes_; }
  auto operator<=>(const Uuid&) const = default;

 private:
  Bytes bytes_{};
};

using KeyId = Uuid<struct KeyTag>;
using BlockId = Uuid<struct BlockTag>;

// Writes 36 lower-case characters in the 8-4-4-4-12 form.
void write_uuid(std::span<const std::uint8_t, 16> bytes, std::span<char, 36> out);
// Reads that form in either case, and nothing else: no braces, no "urn:uuid:", no blanks.
Result<std::array<std::uint8_t, 16>> parse_uuid(std::string_view text);

template <class Tag>
std::string to_string(const Uuid<Tag>& id) {
  std::array<char, 36> text;
  write_uuid(id.bytes(), text);
  return std::string(text.data(), text.size());
}

}  // namespace qkms

template <class Tag>
struct std::hash<qkms::Uuid<Tag>> {
  std::size_t operator()(const qkms::Uuid<Tag>& id) const noexcept {
    std::size_t value;
    static_assert(sizeof value <= sizeof(typename qkms::Uuid<Tag>::Bytes));
    __builtin_memcpy(&value, id.bytes().data(), sizeof value);
    return value;
  }
};
