#include "kms/usage.h"

#include <gtest/gtest.h>

#include "kms/testing/sites.h"

namespace qkms::kms {
namespace {

using testing::sae;

class Limits : public ::testing::Test {
 protected:
  // Like the key service: asks, and pays when it may.
  Result<void> take(std::uint64_t keys, const std::vector<SaeId>& slaves = {sae("SAE-B1")}) {
    auto checked = usage.check_keys(sae("SAE-A1"), slaves, keys, keys * 256, now);
    if (checked) usage.charge_keys(sae("SAE-A1"), slaves, keys, keys * 256, now);
    return checked;
  }
  // How many single keys are given until the first refusal.
  int keys_until_refused() {
    for (int given = 0;; ++given) {
      if (!take(1) || given == 100'000) return given;
    }
  }

  Policy policy;
  Allowance& of_sae = policy.allowances[sae("SAE-A1")];
  Allowance& of_pair = policy.pair_terms[{sae("SAE-A1"), sae("SAE-B1")}].allowance;
  Usage usage{policy};
  Millis now = 5'000'000;
};

TEST_F(Limits, AreNoneWhereNoneAreSet) { EXPECT_EQ(keys_until_refused(), 100'000); }

TEST_F(Limits, GiveABurstAndThenTheRate) {
  of_sae.keys_per_s = 7;
  EXPECT_EQ(keys_until_refused(), 70);
  now += 1000;
  EXPECT_EQ(keys_until_refused(), 7);
  now += 3600'000;
  EXPECT_EQ(keys_until_refused(), 70);
}

TEST_F(Limits, LetALargeRequestThroughAndMakeItPayAfterwards) {
  of_sae.keys_per_s = 2;
  EXPECT_TRUE(take(120).has_value());
  const auto refused = take(1);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kRateLimited);
  EXPECT_EQ(refused.error().retry_after_s, 51u);  // 100 keys of debt at 2 a second, and one more
  now += 49'000;
  EXPECT_FALSE(take(1).has_value());
  now += 2'000;
  EXPECT_TRUE(take(1).has_value());
}

TEST_F(Limits, CountBitsAsWellAsKeys) {
  of_sae.bits_per_s = 256;
  EXPECT_EQ(keys_until_refused(), 10);
}

TEST_F(Limits, HoldForAPairBesideTheSae) {
  of_sae.keys_per_s = 100;
  of_pair.keys_per_s = 1;
  EXPECT_EQ(keys_until_refused(), 10);
  EXPECT_TRUE(take(1, {sae("SAE-B2")}).has_value());
  EXPECT_FALSE(take(1, {sae("SAE-B2"), sae("SAE-B1")}).has_value());  // also as an additional slave
}

TEST_F(Limits, OfADayEndAfterADay) {
  of_sae.keys_per_day = 5;
  EXPECT_TRUE(take(3).has_value());
  EXPECT_FALSE(take(3).has_value());
  EXPECT_TRUE(take(2).has_value());
  const auto refused = take(1);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kOverQuota);
  EXPECT_EQ(refused.error().retry_after_s, 86'400u);
  EXPECT_EQ(usage.bits_left(sae("SAE-A1"), sae("SAE-B1"), 256, now), 0u);
  now += 24 * 3600 * 1000;
  EXPECT_EQ(usage.bits_left(sae("SAE-A1"), sae("SAE-B1"), 256, now), 5u * 256);
  EXPECT_TRUE(take(5).has_value());
}

TEST_F(Limits, OfRequestsCountEachRequest) {
  of_sae.requests_per_s = 1;
  int admitted = 0;
  for (; usage.check_request(sae("SAE-A1"), nullptr, now); ++admitted)
    usage.charge_request(sae("SAE-A1"), nullptr, now);
  EXPECT_EQ(admitted, 10);
  const SaeId slave = sae("SAE-B1");
  EXPECT_TRUE(usage.check_request(sae("SAE-A2"), &slave, now).has_value());
}

TEST_F(Limits, SurviveTheLargestNumbers) {
  of_sae = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
  EXPECT_TRUE(take(UINT64_MAX / 256).has_value());
  now += Millis{1} << 60;
  of_sae = {1, 1, 1, UINT64_MAX, UINT64_MAX};
  EXPECT_TRUE(take(1000).has_value());
  EXPECT_FALSE(take(1000).has_value());
}

TEST_F(Limits, KeepWhatWasUsedWhenThePolicyIsReplaced) {
  of_sae.keys_per_s = 1;
  EXPECT_EQ(keys_until_refused(), 10);
  Policy other = policy;
  other.keys.max_keys_per_request = 1;
  usage.replace_policy(other);
  EXPECT_EQ(keys_until_refused(), 0);
}

}  // namespace
}  // namespace qkms::kms
