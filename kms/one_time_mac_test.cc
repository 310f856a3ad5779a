#include "kms/one_time_mac.h"

#include <gtest/gtest.h>

#include <vector>

namespace qkms::kms {
namespace {

std::vector<std::uint8_t> counting(std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + 1);
  return bytes;
}

TEST(BlockTag, DependsOnEveryBitOfTheBlockItsIdAndItsSize) {
  const BlockId id({1, 2, 3});
  const auto block = counting(96);
  const auto tag = block_tag(id, block);
  EXPECT_TRUE(tags_equal(tag, block_tag(id, block)));
  for (std::size_t bit = 0; bit < block.size() * 8; ++bit) {
    if (bit < kOneTimeKeyBytes * 8) continue;  // Poly1305 clamps 22 bits of its key
    auto changed = block;
    changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ (1u << (bit % 8)));
    EXPECT_FALSE(tags_equal(tag, block_tag(id, changed))) << bit;
  }
  EXPECT_FALSE(tags_equal(tag, block_tag(BlockId({1, 2, 4}), block)));
  EXPECT_FALSE(tags_equal(tag, block_tag(id, counting(97))));
}

TEST(BlockTag, DependsOnItsKey) {
  const auto block = counting(96);
  auto other = block;
  other[16] ^= 1;  // the second half of the key is added to the tag and not clamped
  EXPECT_FALSE(tags_equal(block_tag(BlockId(), block), block_tag(BlockId(), other)));
}

}  // namespace
}  // namespace qkms::kms
