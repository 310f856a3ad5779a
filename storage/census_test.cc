// The multiset hash: what it must tell apart, and what it must not.
#include "storage/census.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "storage/store_samples.h"

namespace qkms::storage {
namespace {

Sealed seal(std::mt19937_64& random, EpochId epoch) {
  Sealed sealed{2, 0, 0, 0, static_cast<std::uint8_t>(epoch)};
  while (sealed.size() < kSealHeaderBytes) sealed.push_back(static_cast<std::uint8_t>(random()));
  return sealed;
}

class CensusTest : public testing::Test {
 protected:
  std::mt19937_64 random_{1};
  Census census_ = Census::make(bits(kCensusKeyBytes, 1)).value();
};

TEST_F(CensusTest, DependsOnNoOrderAndComesBackToNothing) {
  std::vector<Sealed> seals;
  for (EpochId i = 0; i < 500; ++i) seals.push_back(seal(random_, 1 + i % 3));
  for (const Sealed& sealed : seals) census_.add(1, sealed);
  std::shuffle(seals.begin(), seals.end(), random_);
  for (const Sealed& sealed : seals) census_.add(2, sealed);
  EXPECT_EQ(census_.groups().at(1), census_.groups().at(2));
  EXPECT_EQ(census_.epochs(), (std::map<EpochId, std::uint64_t>{{1, 334}, {2, 334}, {3, 332}}));
  std::shuffle(seals.begin(), seals.end(), random_);
  for (const Sealed& sealed : seals) {
    census_.remove(1, sealed);
    census_.remove(2, sealed);
  }
  EXPECT_TRUE(census_.groups().empty());
  EXPECT_TRUE(census_.epochs().empty());
}

TEST_F(CensusTest, TellsSetsApartThatDifferInOneSeal) {
  const Sealed kept = seal(random_, 1), old = seal(random_, 1), now = seal(random_, 1);
  census_.add(1, kept);
  census_.add(1, old);
  census_.add(2, kept);
  census_.add(2, now);
  EXPECT_NE(census_.groups().at(1), census_.groups().at(2));
  census_.add(3, kept);
  census_.add(3, kept);
  EXPECT_NE(census_.groups().at(1), census_.groups().at(3)) << "a multiset, no set";
}

TEST_F(CensusTest, CountsDifferentlyUnderAnotherKey) {
  Census other = Census::make(bits(kCensusKeyBytes, 2)).value();
  const Sealed sealed = seal(random_, 1);
  census_.add(1, sealed);
  other.add(1, sealed);
  EXPECT_NE(census_.groups().at(1), other.groups().at(1));
}

TEST_F(CensusTest, GoesBackToWhatWasSettled) {
  const Sealed sealed = seal(random_, 1), rolled_back = seal(random_, 2);
  census_.add(1, sealed);
  census_.settle();
  const auto groups = census_.groups();
  census_.add(2, rolled_back);
  census_.remove(1, sealed);
  census_.undo();
  EXPECT_EQ(census_.groups(), groups);
  EXPECT_EQ(census_.epochs(), (std::map<EpochId, std::uint64_t>{{1, 1}}));
}

TEST_F(CensusTest, CountsLastingSealsInNoEpoch) {
  census_.add(kOwnGroup, seal(random_, 0));
  EXPECT_TRUE(census_.epochs().empty());
  EXPECT_EQ(census_.groups().at(kOwnGroup).rows, 1U);
}

}  // namespace
}  // namespace qkms::storage
