#include "kms/one_time_mac.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace qkms::kms {
namespace {

std::vector<std::uint8_t> counting(std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + 1);
  return bytes;
}

// Sees all memory that libcrypto gives back, as it gives it back.
std::vector<std::uint8_t> looked_for;
int times_seen = 0;

void* plain_malloc(std::size_t size, const char*, int) { return std::malloc(size); }
void* plain_realloc(void* memory, std::size_t size, const char*, int) { return std::realloc(memory, size); }
void watching_free(void* memory, const char*, int) {
  if (memory != nullptr && !looked_for.empty()) {
    const auto* bytes = static_cast<const std::uint8_t*>(memory);
    const auto* end = bytes + malloc_usable_size(memory);
    if (std::search(bytes, end, looked_for.begin(), looked_for.end()) != end) ++times_seen;
  }
  std::free(memory);
}
// Before libcrypto has any memory.
const bool is_watched = CRYPTO_set_mem_functions(plain_malloc, plain_realloc, watching_free) == 1;

TEST(BlockTag, LeavesNothingOfTheBlockInMemoryOfTheLibrary) {
  ASSERT_TRUE(is_watched);
  const auto block =
      counting(kOneTimeKeyBytes + 59);  // with ID and length, the last 15 bytes are no whole group of Poly1305
  looked_for.assign(block.end() - 8, block.end());
  void* const planted = OPENSSL_malloc(64);
  std::fill_n(static_cast<std::uint8_t*>(planted), 64, std::uint8_t{0});
  std::ranges::copy(looked_for, static_cast<std::uint8_t*>(planted) + 20);
  OPENSSL_free(planted);
  EXPECT_EQ(times_seen, 1);  // so it would be seen
  block_tag(BlockId(), block);
  EXPECT_EQ(times_seen, 1);
  looked_for.clear();
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
