#include "base/text.h"

namespace qkms {

std::string to_hex(std::span<const std::uint8_t> bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (std::uint8_t byte : bytes) {
    out += kHexDigits[byte >> 4];
    out += kHexDigits[byte & 15];
  }
  return out;
}

std::string printable(std::string_view untrusted, std::size_t limit) {
  std::string out;
  for (char c : untrusted.substr(0, limit)) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte >= 0x20 && byte <= 0x7e && c != '\\') {
      out += c;
    } else {
      out += "\\x";
      out += kHexDigits[byte >> 4];
      out += kHexDigits[byte & 15];
    }
  }
  if (untrusted.size() > limit) out += "...";
  return out;
}

}  // namespace qkms
