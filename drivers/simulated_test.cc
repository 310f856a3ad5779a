#include <gtest/gtest.h>

#include <set>

#include "drivers/simulated_link.h"
#include "drivers/testing/fake_host.h"

namespace qkms::drivers {
namespace {

const LinkId kLink = LinkId::parse("A-B").value();
constexpr Millis kStart = 1'000'000'500;

SimulatedSettings settings_of(std::uint64_t rate_bps) {
  SimulatedSettings settings;
  settings.seed = "a seed";
  settings.rate_bps = rate_bps;
  settings.burst_ms = 1000;
  return settings;
}

// What one end gets between two times when it looks every 100 ms.
std::vector<Block> collect(SimulatedLink& link, Millis from, Millis to) {
  std::vector<Block> all;
  for (Millis now = from; now <= to; now += 100) {
    for (Block& block : link.take_due(now)) all.push_back(std::move(block));
  }
  return all;
}

std::vector<BlockId> ids_of(const std::vector<Block>& blocks) {
  std::vector<BlockId> ids;
  for (const Block& block : blocks) ids.push_back(block.id);
  return ids;
}

TEST(SimulatedLink, GivesBothEndsTheSameBitsUnderTheSameIds) {
  SimulatedLink one(kLink, settings_of(100'000), 1, kStart);
  SimulatedLink other(kLink, settings_of(100'000), 2, kStart + 300);
  const auto at_one = collect(one, kStart, kStart + 10'000);
  const auto at_other = collect(other, kStart + 300, kStart + 10'000);
  ASSERT_EQ(at_one.size(), 10u);
  ASSERT_EQ(ids_of(at_one), ids_of(at_other));
  for (std::size_t i = 0; i < at_one.size(); ++i) {
    EXPECT_EQ(at_one[i].bits.size(), 12'500u);
    EXPECT_TRUE(at_one[i].bits.equals(at_other[i].bits));
  }
}

TEST(SimulatedLink, GivesOtherBitsForAnotherSeedLinkOrInterval) {
  SimulatedSettings other_seed = settings_of(100'000);
  other_seed.seed = "another seed";
  const SimulatedSource source(kLink, settings_of(100'000));
  const SimulatedSource of_other_seed(kLink, other_seed);
  const SimulatedSource of_other_link(LinkId::parse("A-C").value(), settings_of(100'000));
  const auto reference = source.blocks_of(7);
  ASSERT_EQ(reference.size(), 1u);
  const auto rivals = {source.blocks_of(8), of_other_seed.blocks_of(7), of_other_link.blocks_of(7)};
  for (const auto& rival : rivals) {
    ASSERT_EQ(rival.size(), 1u);
    EXPECT_NE(rival[0].id, reference[0].id);
    EXPECT_FALSE(rival[0].bits.equals(reference[0].bits));
  }
}

TEST(SimulatedLink, BeginsWithTheIntervalAfterThePresentOne) {
  SimulatedLink link(kLink, settings_of(100'000), 1, kStart);
  EXPECT_EQ(link.next_due(), 1'000'001'000);
  EXPECT_TRUE(link.take_due(kStart).empty());
  EXPECT_TRUE(link.take_due(1'000'000'999).empty());
  EXPECT_EQ(link.take_due(1'000'001'000).size(), 1u);
}

TEST(SimulatedLink, KeepsBlocksWithinTheirBoundsAtEveryRate) {
  for (const std::uint64_t rate :
       {1ull, 100ull, 511ull, 512ull, 100'000ull, 8ull << 20, (8ull << 20) + 8, 100'000'000ull}) {
    SCOPED_TRACE(rate);
    const SimulatedSource source(kLink, settings_of(rate));
    const auto blocks = source.blocks_of(source.stride() * 5);
    ASSERT_FALSE(blocks.empty());
    std::uint64_t bytes = 0;
    for (const Block& block : blocks) {
      EXPECT_GE(block.bits.size(), kMinBlockBytes);
      EXPECT_LE(block.bits.size(), kMaxBlockBytes);
      bytes += block.bits.size();
    }
    EXPECT_EQ(bytes, rate * source.stride() / 8);
    const std::vector<BlockId> ids = ids_of(blocks);
    EXPECT_EQ(std::set<BlockId>(ids.begin(), ids.end()).size(), blocks.size());
  }
}

TEST(SimulatedLink, GivesNothingAtRateZero) {
  SimulatedLink link(kLink, settings_of(0), 1, kStart);
  EXPECT_FALSE(link.next_due().has_value());
  EXPECT_TRUE(collect(link, kStart, kStart + 10'000).empty());
}

TEST(SimulatedLink, DoesNotMakeUpForAJumpOfAYear) {
  SimulatedLink link(kLink, settings_of(100'000), 1, kStart);
  constexpr Millis kYear = 365ll * 24 * 3600 * 1000;
  EXPECT_LE(link.take_due(kStart + kYear).size(), SimulatedLink::kMaxCatchUp);
  EXPECT_TRUE(link.take_due(kStart).empty()) << "time went back: nothing is made twice";
  EXPECT_EQ(link.take_due(kStart + kYear + 1000).size(), 1u);
}

struct Outcome {
  std::size_t blocks = 0, distinct = 0, equal = 0, in_order = 0;
};

Outcome outcome_with(const SimulatedFaults& faults) {
  SimulatedSettings settings = settings_of(10'000);
  settings.faults = faults;
  SimulatedLink link(kLink, settings, 12345, kStart);
  const auto blocks = collect(link, kStart, kStart + 1'000'000);
  const SimulatedSource source(kLink, settings);
  std::map<BlockId, std::pair<std::uint64_t, Block>> expected;
  for (std::uint64_t n = 1'000'001; n <= 1'001'000; ++n) {
    for (Block& block : source.blocks_of(n)) expected.emplace(block.id, std::pair(n, std::move(block)));
  }
  Outcome outcome;
  outcome.blocks = blocks.size();
  std::set<BlockId> seen;
  std::uint64_t last = 0;
  for (const Block& block : blocks) {
    const auto& [interval, original] = expected.at(block.id);
    seen.insert(block.id);
    if (block.bits.equals(original.bits)) ++outcome.equal;
    if (interval >= last) ++outcome.in_order;
    last = interval;
  }
  outcome.distinct = seen.size();
  return outcome;
}

TEST(SimulatedLink, InjectsTheFaultsItIsToldAndNoOthers) {
  const Outcome none = outcome_with({});
  EXPECT_EQ(none.blocks, 1000u);
  EXPECT_EQ(none.equal, 1000u);
  EXPECT_EQ(none.in_order, 1000u);

  EXPECT_EQ(outcome_with({.lose = 1}).blocks, 0u);
  EXPECT_NEAR(static_cast<double>(outcome_with({.lose = 0.5}).blocks), 500, 100);

  const Outcome corrupted = outcome_with({.corrupt = 0.5});
  EXPECT_EQ(corrupted.blocks, 1000u);
  EXPECT_NEAR(static_cast<double>(corrupted.equal), 500, 100);

  const Outcome repeated = outcome_with({.repeat = 1});
  EXPECT_EQ(repeated.blocks, 2000u);
  EXPECT_EQ(repeated.distinct, 1000u);

  const Outcome reordered = outcome_with({.reorder = 1});
  EXPECT_EQ(reordered.distinct, 1000u);
  EXPECT_NEAR(static_cast<double>(reordered.in_order), 500, 10) << "every second block comes after its successor";

  const Outcome delayed = outcome_with({.delay = 1, .delay_ms = 5000});
  EXPECT_EQ(delayed.blocks, 995u) << "the last five are still under way";
  EXPECT_LT(outcome_with({.delay = 0.5, .delay_ms = 5000}).in_order, 900u);
}

TEST(SimulatedDriver, DeliversUntilItIsStopped) {
  KeepingHost host;
  SimulatedSettings settings = settings_of(1'000'000);
  settings.burst_ms = 10;
  const auto driver = make_simulated_driver(kLink, settings);
  EXPECT_TRUE(driver->simulated());
  EXPECT_EQ(driver->kind(), "simulated");
  RunningDriver running(*driver, host);
  EXPECT_TRUE(host.wait_for_blocks(5));
  EXPECT_TRUE(running.stop());
}

// It would be the test's deadline otherwise.
TEST(SimulatedDriver, StopsWhileItWaitsForALongInterval) {
  KeepingHost host;
  SimulatedSettings settings = settings_of(1000);
  settings.burst_ms = 3'600'000;
  const auto driver = make_simulated_driver(kLink, settings);
  RunningDriver running(*driver, host);
  EXPECT_TRUE(running.stop());
}

}  // namespace
}  // namespace qkms::drivers
