#include "api/secret_reader.h"

#include <cstddef>

namespace qkms::api {
namespace {

// All ones when low <= c <= high, else 0; without a branch.
int mask_within(int c, int low, int high) { return ((low - 1 - c) & (c - high - 1)) >> 8; }

// 0 to 63, or -1.
int base64_value(std::uint8_t character) {
  const int c = character;
  int value = -1;
  value += mask_within(c, 'A', 'Z') & (c - 'A' + 1);
  value += mask_within(c, 'a', 'z') & (c - 'a' + 27);
  value += mask_within(c, '0', '9') & (c - '0' + 53);
  value += mask_within(c, '+', '+') & 63;
  value += mask_within(c, '/', '/') & 64;
  return value;
}

std::size_t padding_of(std::span<const std::uint8_t> characters) {
  if (characters.empty() || characters.back() != '=') return 0;
  return characters[characters.size() - 2] == '=' ? 2 : 1;
}

}  // namespace

std::optional<SecretBytes> decode_base64(std::span<const std::uint8_t> characters) {
  if (characters.size() % 4 != 0) return std::nullopt;
  const std::size_t digits = characters.size() - padding_of(characters);
  SecretBytes out(characters.size() / 4 * 3 - (characters.size() - digits));
  const std::span<std::uint8_t> bytes = out.reveal_mutable();
  std::uint32_t group = 0;
  int refused = 0;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    const int value = i < digits ? base64_value(characters[i]) : 0;
    refused |= value;  // negative once one of them is
    group = group << 6 | (static_cast<std::uint32_t>(value) & 63);
    if (i % 4 != 3) continue;
    for (std::size_t j = 0, at = i / 4 * 3; j < 3 && at + j < bytes.size(); ++j)
      bytes[at + j] = static_cast<std::uint8_t>(group >> (16 - 8 * j));
  }
  if (refused < 0) return std::nullopt;
  return out;
}

std::optional<SecretBytes> decode_base64_in_json(std::string_view inner) {
  SecretBytes characters(inner.size());
  std::size_t size = 0;
  for (std::size_t i = 0; i < inner.size(); ++i) {
    if (inner.substr(i).starts_with("\\/")) ++i;
    characters.reveal_mutable()[size++] = static_cast<std::uint8_t>(inner[i]);
  }
  return decode_base64(characters.reveal().first(size));
}

}  // namespace qkms::api
