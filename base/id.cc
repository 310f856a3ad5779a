#include "base/id.h"

#include <algorithm>

#include "base/text.h"

namespace qkms {

std::string_view name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
      return "invalid";
    case ErrorCode::kUnauthorised:
      return "unauthorised";
    case ErrorCode::kSizeNotMultipleOf8:
      return "size-not-multiple-of-8";
    case ErrorCode::kExtensionUnsupported:
      return "extension-unsupported";
    case ErrorCode::kExtensionUnmet:
      return "extension-unmet";
    case ErrorCode::kKeyNotFound:
      return "key-not-found";
    case ErrorCode::kPoolExhausted:
      return "pool-exhausted";
    case ErrorCode::kPeerUnreachable:
      return "peer-unreachable";
    case ErrorCode::kNoRoute:
      return "no-route";
    case ErrorCode::kOverloaded:
      return "overloaded";
    case ErrorCode::kRateLimited:
      return "rate-limited";
    case ErrorCode::kOverQuota:
      return "over-quota";
    case ErrorCode::kReserved:
      return "reserved";
    case ErrorCode::kClosed:
      return "closed";
    case ErrorCode::kSealed:
      return "sealed";
    case ErrorCode::kNotFound:
      return "not-found";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "unknown";
}

bool is_valid_id(std::string_view text) {
  if (text.empty() || text.size() > kMaxIdBytes || text.front() == ' ' || text.back() == ' ') return false;
  return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7e; });
}

namespace {
constexpr bool is_dash_position(std::size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }
}  // namespace

void write_uuid(std::span<const std::uint8_t, 16> bytes, std::span<char, 36> out) {
  std::size_t at = 0;
  for (std::uint8_t byte : bytes) {
    if (is_dash_position(at)) out[at++] = '-';
    out[at++] = kHexDigits[byte >> 4];
    out[at++] = kHexDigits[byte & 15];
  }
}

Result<std::array<std::uint8_t, 16>> parse_uuid(std::string_view text) {
  const auto bad = [] { return fail(ErrorCode::kInvalid, "not a UUID in the 8-4-4-4-12 form"); };
  if (text.size() != 36) return bad();
  std::array<std::uint8_t, 16> bytes{};
  std::size_t nibble = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_dash_position(i)) {
      if (text[i] != '-') return bad();
      continue;
    }
    const int value = hex_value(text[i]);
    if (value < 0) return bad();
    bytes[nibble / 2] = static_cast<std::uint8_t>(bytes[nibble / 2] << 4 | value);
    ++nibble;
  }
  return bytes;
}

}  // namespace qkms
