#include "kms/reservoir.h"

#include <gtest/gtest.h>

#include "kms/testing/sites.h"

namespace qkms::kms {
namespace {

using testing::bits;
using testing::kme;

constexpr std::size_t kCacheAll = 1 << 30;

// Two ends of one reservoir that got the same blocks, with opposite owners.
struct TwoEnds {
  Batch batch;
  Reservoir ours{kme("B"), {}, 0, {}, kCacheAll};
  Reservoir theirs{kme("A"), {}, 0, {}, kCacheAll};

  void append(std::uint8_t number, std::size_t size, std::size_t first_part) {
    const SecretBytes block = bits(number, size);
    ours.append(block.reveal(), first_part, Owner::kSelf, batch);
    theirs.append(block.reveal(), first_part, Owner::kPeer, batch);
  }
};

TEST(Reservoir, GivesTheSameBitsAtBothEnds) {
  TwoEnds ends;
  ends.append(1, 1000, 600);
  const auto taken = ends.ours.take(100, Purpose::kDelivery, kAnyAge, ends.batch);
  ASSERT_TRUE(taken.has_value());
  const auto followed = ends.theirs.follow(taken->ranges, Purpose::kDelivery, ends.batch);
  ASSERT_TRUE(followed.has_value());
  EXPECT_TRUE(taken->bits.equals(*followed));
  EXPECT_TRUE(taken->bits.equals(bits(1, 1000).slice(0, 100)));
  EXPECT_EQ(ends.ours.ledger().in_flight, 800u);
  EXPECT_EQ(ends.theirs.ledger().held, 800u);
}

TEST(Reservoir, TakesOverTheEdgeOfAnExtentInOrder) {
  TwoEnds ends;
  ends.append(1, 50, 50);
  ends.append(2, 50, 50);
  const auto taken = ends.ours.take(80, Purpose::kPad, kAnyAge, ends.batch);
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->ranges, (std::vector<Range>{{0, 0, 50}, {1, 0, 30}}));
  EXPECT_EQ(ends.ours.available(Owner::kSelf), 20u);
}

TEST(Reservoir, TakesNothingWhenThereIsTooLittle) {
  TwoEnds ends;
  ends.append(1, 100, 60);
  const auto taken = ends.ours.take(61, Purpose::kDelivery, kAnyAge, ends.batch);
  ASSERT_FALSE(taken.has_value());
  EXPECT_EQ(taken.error().code, ErrorCode::kPoolExhausted);
  EXPECT_EQ(ends.ours.available(Owner::kSelf), 60u);
  EXPECT_EQ(ends.ours.ledger(), Ledger{});
}

struct RangeCase {
  const char* name;
  std::vector<Range> ranges;
};

TEST(Reservoir, RefusesToFollowWhatIsNotAtTheFrontOfThePeersExtents) {
  TwoEnds ends;
  ends.append(1, 100, 60);  // extent 0 is ours, extent 1 the peer's, as seen from `ours`
  const RangeCase cases[] = {
      {"our own extent", {{0, 0, 10}}},
      {"unknown extent", {{7, 0, 10}}},
      {"behind the front", {{1, 1, 10}}},
      {"longer than the extent", {{1, 0, 41}}},
      {"the same twice", {{1, 0, 10}, {1, 0, 10}}},
      {"nothing", {{1, 0, 0}}},
      {"size that wraps", {{1, 0, 0xffffffff}}},
  };
  for (const RangeCase& c : cases) {
    const auto followed = ends.ours.follow(c.ranges, Purpose::kDelivery, ends.batch);
    ASSERT_FALSE(followed.has_value()) << c.name;
    EXPECT_EQ(followed.error().code, ErrorCode::kInvalid) << c.name;
  }
  EXPECT_EQ(ends.ours.available(Owner::kPeer), 40u);
}

TEST(Reservoir, HandsOverOnlyUntouchedExtents) {
  TwoEnds ends;
  ends.append(1, 3 * kMaxExtentBytes, 3 * kMaxExtentBytes);
  ASSERT_TRUE(ends.ours.take(1, Purpose::kBurn, kAnyAge, ends.batch).has_value());
  const auto given = ends.ours.give(10 * kMaxExtentBytes);
  EXPECT_EQ(given, (std::vector<std::uint64_t>{2, 1}));
  EXPECT_FALSE(ends.ours.receive({0}).has_value());  // not the peer's
  EXPECT_TRUE(ends.theirs.receive(given).has_value());
  EXPECT_FALSE(ends.theirs.receive(given).has_value());  // not the peer's any more
  EXPECT_FALSE(ends.theirs.receive({0, 0}).has_value());
  EXPECT_EQ(ends.theirs.available(Owner::kSelf), 2 * kMaxExtentBytes);
}

TEST(Reservoir, LoadsOnlyTheBitsThatItDoesNotKeep) {
  Batch batch;
  const std::vector<ExtentRow> rows{
      {kme("B"), 4, Owner::kSelf, 100, 90}, {kme("B"), 5, Owner::kSelf, 100, 0}, {kme("B"), 6, Owner::kSelf, 100, 0}};
  Reservoir reservoir(kme("B"), {}, 7, rows, 0);
  Needs needs;
  reservoir.need_front(20, kAnyAge, needs);
  EXPECT_EQ(needs.extent_bits, (std::set<ExtentKey>{{kme("B"), 4}, {kme("B"), 5}}));
  batch.asked = needs;
  batch.loaded.extent_bits.emplace(ExtentKey{kme("B"), 4}, bits(4, 100));
  batch.loaded.extent_bits.emplace(ExtentKey{kme("B"), 5}, bits(5, 100));
  const auto taken = reservoir.take(20, Purpose::kDelivery, kAnyAge, batch);
  ASSERT_TRUE(taken.has_value());
  EXPECT_TRUE(taken->bits.slice(0, 10).equals(bits(4, 100).slice(90, 10)));
  EXPECT_TRUE(taken->bits.slice(10, 10).equals(bits(5, 100).slice(0, 10)));
}

TEST(Reservoir, SharesNewBitsByWhatEachEndTakes) {
  TwoEnds ends;
  EXPECT_EQ(ends.ours.own_share_of_next(1024), 512u);
  ends.append(1, 4096, 2048);
  ASSERT_TRUE(ends.ours.take(2048, Purpose::kDelivery, kAnyAge, ends.batch).has_value());
  EXPECT_EQ(ends.ours.own_share_of_next(1024), 1024u);  // it takes all and has nothing left
  EXPECT_LE(ends.ours.own_share_of_next(1 << 20), static_cast<std::uint32_t>((1 << 20) * 0.9 + 2048));
}

TEST(Reservoir, CountsExtentsThatTheStoreHasLostAsBurned) {
  const std::vector<ExtentRow> rows{{kme("B"), 4, Owner::kSelf, 100, 90}};
  Ledger ledger{.in = 256 + 800 + 720, .macs = 256, .delivered = 720};
  Reservoir whole(kme("B"), {.in = 256 + 80 + 720, .macs = 256, .delivered = 720}, 7, rows, 0);
  EXPECT_FALSE(whole.burn_missing());
  Reservoir reservoir(kme("B"), ledger, 7, rows, 0);
  EXPECT_TRUE(reservoir.burn_missing());
  EXPECT_EQ(reservoir.ledger().burned, 720u);
  EXPECT_FALSE(reservoir.burn_missing());
}

TEST(Reservoir, BurnsAllWhenThePairStartsAfresh) {
  TwoEnds ends;
  ends.append(1, 100, 60);
  ends.ours.burn_all(3);
  EXPECT_EQ(ends.ours.available(Owner::kSelf) + ends.ours.available(Owner::kPeer), 0u);
  EXPECT_EQ(ends.ours.ledger().burned, 800u);
  EXPECT_EQ(ends.ours.next_extent(), std::uint64_t{3} << 32);
}

}  // namespace
}  // namespace qkms::kms
