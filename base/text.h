// Small text helpers for public data: hexadecimal digits, and a printable form of bytes that we do not trust.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace qkms {

inline constexpr std::string_view kHexDigits = "0123456789abcdef";

// 0 to 15, or -1 for a character that is no hexadecimal digit.
constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string to_hex(std::span<const std::uint8_t> bytes);

// The text with everything but printable ASCII written as \xNN, cut at `limit` characters of input: fit for a log or a
// message.
std::string printable(std::string_view untrusted, std::size_t limit = 80);

}  // namespace qkms
