#include "drivers/block_id.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <string>

namespace qkms::drivers {

BlockId derived_block_id(std::initializer_list<std::string_view> facts) {
  std::string text;
  for (const std::string_view fact : facts) {
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(fact.size() >> shift & 0xff);
    text += fact;
  }
  std::array<std::uint8_t, 32> digest;
  const int hashed = EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  assert(hashed == 1);  // only without memory
  BlockId::Bytes id;
  std::copy_n(digest.begin(), id.size(), id.begin());
  id[6] = static_cast<std::uint8_t>((id[6] & 0x0f) | 0x80);
  id[8] = static_cast<std::uint8_t>((id[8] & 0x3f) | 0x80);
  return BlockId(id);
}

}  // namespace qkms::drivers
