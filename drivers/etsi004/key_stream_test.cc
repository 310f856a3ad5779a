#include "drivers/etsi004/key_stream.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "drivers/testing/bits.h"

namespace qkms::drivers::etsi004 {
namespace {

const LinkId kLink = LinkId::parse("A-B").value();
constexpr StreamId kId = {1, 2, 3};

KeyStream stream(std::size_t chunk_bytes) {
  KeyStream made(kLink, kId);
  made.set_chunk_bytes(chunk_bytes);
  return made;
}

// What a device gives at both ends for an index.
SecretBytes chunk(std::size_t size, std::uint32_t index) { return random_bits(size, index); }

TEST(KeyStream, MakesABlockOfEachLargeChunk) {
  KeyStream keys = stream(64);
  EXPECT_EQ(keys.next(), 0u);
  const auto first = keys.take(0, chunk(64, 0));
  ASSERT_TRUE(first && *first);
  EXPECT_TRUE((*first)->bits.equals(chunk(64, 0)));
  EXPECT_EQ(keys.next(), 1u);
  const auto second = keys.take(1, chunk(64, 1));
  EXPECT_NE((*first)->id, (*second)->id);
}

TEST(KeyStream, DerivesAnIdFromLinkStreamSizeAndIndex) {
  KeyStream keys = stream(64), same = stream(64), longer = stream(65);
  KeyStream other_link(LinkId::parse("A-C").value(), kId), other_stream(kLink, StreamId{9});
  other_link.set_chunk_bytes(64);
  other_stream.set_chunk_bytes(64);
  const BlockId id = (*keys.take(5, chunk(64, 5)))->id;
  EXPECT_EQ((*same.take(5, chunk(64, 5)))->id, id);
  EXPECT_NE((*same.take(6, chunk(64, 5)))->id, id);
  EXPECT_NE((*longer.take(5, chunk(65, 5)))->id, id);
  EXPECT_NE((*other_link.take(5, chunk(64, 5)))->id, id);
  EXPECT_NE((*other_stream.take(5, chunk(64, 5)))->id, id);
}

TEST(KeyStream, PutsShortChunksTogether) {
  KeyStream keys = stream(32);  // 8 make 256 bytes
  for (std::uint32_t index = 0; index < 7; ++index) EXPECT_FALSE(*keys.take(index, chunk(32, index)));
  const auto block = keys.take(7, chunk(32, 7));
  ASSERT_TRUE(block && *block);
  ASSERT_EQ((*block)->bits.size(), 256u);
  for (std::uint32_t index = 0; index < 8; ++index)
    EXPECT_TRUE((*block)->bits.slice(32 * index, 32).equals(chunk(32, index)));
}

TEST(KeyStream, PassesOverGapsAndCountsThem) {
  KeyStream keys = stream(64);
  EXPECT_TRUE(*keys.take(10, chunk(64, 10)));  // where a stream begins for us is no gap
  EXPECT_EQ(keys.missed(), 0u);
  EXPECT_TRUE(*keys.take(14, chunk(64, 14)));
  EXPECT_EQ(keys.missed(), 3u);
  keys.lose_next();
  EXPECT_EQ(keys.next(), 16u);
  EXPECT_TRUE(*keys.take(16, chunk(64, 16)));
  EXPECT_EQ(keys.missed(), 4u);
  EXPECT_EQ(keys.chunks(), 3u);
}

TEST(KeyStream, IsUselessWhenAnIndexComesAgain) {
  KeyStream keys = stream(64);
  ASSERT_TRUE(keys.take(5, chunk(64, 5)));
  for (const std::uint32_t index : {5u, 4u, 0u}) {
    const auto again = keys.take(index, chunk(64, index));
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::kCorrupt);
  }
}

TEST(KeyStream, DropsAChunkThatWasGivenUp) {
  KeyStream keys = stream(64);
  ASSERT_TRUE(keys.take(5, chunk(64, 5)));
  keys.lose_next();  // 6
  const auto late = keys.take(6, chunk(64, 6));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(keys.next(), 7u);
  EXPECT_TRUE(*keys.take(7, chunk(64, 7)));
}

TEST(KeyStream, DropsChunksOfAnotherSize) {
  KeyStream keys = stream(64);
  for (const std::size_t size : {0u, 63u, 65u, 128u}) {
    const auto wrong = keys.take(*keys.next(), chunk(size, 1));
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, ErrorCode::kInvalid);
  }
  EXPECT_EQ(keys.next(), 4u);
}

TEST(KeyStream, EndsWithTheLastIndex) {
  KeyStream keys = stream(64);
  ASSERT_TRUE(keys.take(0xfffffffe, chunk(64, 1)));
  EXPECT_EQ(keys.next(), 0xffffffffu);
  ASSERT_TRUE(keys.take(0xffffffff, chunk(64, 2)));
  EXPECT_EQ(keys.next(), std::nullopt);
}

TEST(KeyStream, GivesUpAGroupWhenTheChunkSizeChanges) {
  KeyStream keys = stream(32);
  for (std::uint32_t index = 0; index < 4; ++index) EXPECT_FALSE(*keys.take(index, chunk(32, index)));
  keys.set_chunk_bytes(16);  // now 16 chunks a group, from 16 on
  for (std::uint32_t index = 4; index < 31; ++index) EXPECT_FALSE(*keys.take(index, chunk(16, index))) << index;
  EXPECT_EQ((*keys.take(31, chunk(16, 31)))->bits.size(), 256u);
}

// Two ends that miss different chunks of one stream, at random: what both have under an ID is the same.
TEST(KeyStream, GroupsAlikeAtBothEndsWhateverIsMissing) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (const std::size_t size : {1u, 7u, 32u, 63u, 64u, 100u}) {
    std::map<BlockId, SecretBytes> had;
    std::size_t common = 0;
    for (int end = 0; end < 2; ++end) {
      KeyStream keys = stream(size);
      for (std::uint32_t index = 0; index < 3000; ++index) {
        if (random() % 500 == 0) continue;
        auto block = keys.take(index, chunk(size, index));
        ASSERT_TRUE(block);
        if (!*block) continue;
        const auto [at, is_new] = had.try_emplace((*block)->id, std::move((*block)->bits));
        if (is_new) continue;
        ASSERT_EQ(end, 1) << "one end has an ID twice";
        EXPECT_TRUE(at->second.equals((*block)->bits));
        ++common;
      }
    }
    EXPECT_GT(common, 0u) << size;
  }
}

}  // namespace
}  // namespace qkms::drivers::etsi004
