#include "kms/reserves.h"

#include <gtest/gtest.h>

#include "kms/testing/sites.h"

namespace qkms::kms {
namespace {

using testing::sae;

class Floors : public ::testing::Test {
 protected:
  const Reserves::PairOf ab{sae("SAE-A1"), sae("SAE-B1")};
  const Reserves::PairOf cd{sae("SAE-A2"), sae("SAE-B2")};
  const Reserves::PairOf other{sae("SAE-A3"), sae("SAE-B3")};
  Reserves reserves{{{ab, 300}, {cd, 100}}};

  std::uint64_t available = 0;
  std::uint64_t open_to(const Reserves::PairOf& pair) { return reserves.open_to(pair, available); }
  void take(const Reserves::PairOf& pair, std::uint64_t bytes) {
    ASSERT_LE(bytes, open_to(pair));
    reserves.taken(pair, bytes);
    available -= bytes;
  }
};

TEST_F(Floors, AreFilledFirst) {
  available = 1000;
  EXPECT_EQ(open_to(other), 600u);
  EXPECT_EQ(open_to(ab), 900u);
  EXPECT_EQ(open_to(cd), 700u);
}

TEST_F(Floors, StandWhenSomebodyTakesAllHeMay) {
  available = 1000;
  take(other, 600);
  EXPECT_EQ(open_to(other), 0u);
  EXPECT_EQ(open_to(ab), 300u);
  EXPECT_EQ(open_to(cd), 100u);
}

TEST_F(Floors, AreOnlyTouchedWhenTheCommonPartIsGone) {
  available = 1000;
  take(ab, 500);
  EXPECT_EQ(open_to(other), 100u);
  take(ab, 250);
  EXPECT_EQ(open_to(other), 0u);
  EXPECT_EQ(open_to(ab), 150u);
  EXPECT_EQ(open_to(cd), 100u);
  take(ab, 150);
  EXPECT_EQ(open_to(cd), 100u);
}

TEST_F(Floors, ShareLittleByWhatTheyLack) {
  available = 200;
  EXPECT_EQ(open_to(ab), 150u);
  EXPECT_EQ(open_to(cd), 50u);
  EXPECT_EQ(open_to(other), 0u);
}

TEST_F(Floors, AreFilledAgainBeforeAnybodyElseGetsMore) {
  available = 400;
  take(ab, 300);
  available += 200;
  EXPECT_EQ(open_to(other), 0u);
  EXPECT_EQ(open_to(ab), 200u);
  available += 200;
  EXPECT_EQ(open_to(other), 100u);
  EXPECT_EQ(open_to(ab), 400u);
}

TEST_F(Floors, ShareALoss) {
  available = 1000;
  EXPECT_EQ(open_to(other), 600u);
  available = 200;  // burned, or given to the peer
  EXPECT_EQ(open_to(other), 0u);
  EXPECT_EQ(open_to(ab), 150u);
  EXPECT_EQ(open_to(cd), 50u);
}

// Whatever happens, the parts are never more than the whole, and a floor that stands can be taken.
TEST_F(Floors, NeverPromiseMoreThanThereIs) {
  testing::SeededRandom random(4);
  for (int step = 0; step < 20'000; ++step) {
    if (random.next_u64() % 4 == 0) available += random.next_u64() % 500;
    if (random.next_u64() % 8 == 0) available -= available == 0 ? 0 : random.next_u64() % available;
    const auto& pair = step % 3 == 0 ? ab : step % 3 == 1 ? cd : other;
    const std::uint64_t open = open_to(pair);
    ASSERT_LE(open, available);
    ASSERT_LE(open_to(ab) + open_to(cd) - open_to(other), available) << "step " << step;
    take(pair, open == 0 ? 0 : random.next_u64() % (open + 1));
  }
}

}  // namespace
}  // namespace qkms::kms
