#include "api/secret_writer.h"

#include <algorithm>
#include <array>

namespace qkms::api {
namespace {

// One cache line, so that which line is touched says nothing about the bits.
alignas(64) constexpr std::array<char, 65> kAlphabet{
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"};

// Up to three bytes as four digits.
void write_group(std::span<const std::uint8_t> group, std::span<std::uint8_t, 4> out) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < 3; ++i) bits = bits << 8 | (i < group.size() ? group[i] : 0U);
  for (std::size_t i = 0; i < 4; ++i) {
    out[i] = static_cast<std::uint8_t>(i <= group.size() ? kAlphabet[bits >> (18 - 6 * i) & 63] : '=');
  }
}

}  // namespace

void SecretWriter::uuid(const KeyId& id) {
  std::array<char, kUuidTextBytes> form;
  write_uuid(id.bytes(), form);
  text({form.data(), form.size()});
}

void SecretWriter::base64(std::span<const std::uint8_t> bits) {
  std::span<std::uint8_t> place = reserve(base64_size(bits.size()));
  while (!bits.empty()) {
    const std::size_t taken = std::min<std::size_t>(3, bits.size());
    write_group(bits.first(taken), place.first<4>());
    bits = bits.subspan(taken);
    place = place.subspan(4);
  }
}

}  // namespace qkms::api
