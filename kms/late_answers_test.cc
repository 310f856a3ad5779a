#include "kms/late_answers.h"

#include <gtest/gtest.h>

#include "kms/testing/sites.h"

namespace qkms::kms {
namespace {

using testing::sae;

const Error kNo{ErrorCode::kKeyNotFound, ""};

// For how long the next miss is held back.
Millis delay_of_a_miss(LateAnswers& late, const SaeId& who, Millis now) {
  late.miss(who, 1, kNo, now);
  for (Millis delay = 0;; ++delay) {
    if (!late.due(now + delay).empty()) return delay;
  }
}

TEST(LateAnswers, HoldTheFirstMissesToTheNextTickOnly) {
  LateAnswers late;
  for (std::uint64_t i = 0; i < LateAnswers::kFree; ++i) EXPECT_EQ(delay_of_a_miss(late, sae("SAE-A1"), 1000), 0);
}

TEST(LateAnswers, SlowDownWhoeverGoesOnMissingAndNobodyElse) {
  LateAnswers late;
  for (std::uint64_t i = 0; i < LateAnswers::kFree; ++i) delay_of_a_miss(late, sae("SAE-A1"), 1000);
  EXPECT_EQ(delay_of_a_miss(late, sae("SAE-A1"), 1000), LateAnswers::kStepMs);
  EXPECT_EQ(delay_of_a_miss(late, sae("SAE-A1"), 1000), 2 * LateAnswers::kStepMs);
  for (int i = 0; i < 100; ++i) delay_of_a_miss(late, sae("SAE-A1"), 1000);
  EXPECT_EQ(delay_of_a_miss(late, sae("SAE-A1"), 1000), LateAnswers::kMostMs);
  EXPECT_EQ(delay_of_a_miss(late, sae("SAE-A2"), 1000), 0);
}

TEST(LateAnswers, ForgetInTime) {
  LateAnswers late;
  for (int i = 0; i < 30; ++i) delay_of_a_miss(late, sae("SAE-A1"), 1000);
  EXPECT_GT(delay_of_a_miss(late, sae("SAE-A1"), 1000), 0);
  EXPECT_EQ(delay_of_a_miss(late, sae("SAE-A1"), 1000 + 40 * LateAnswers::kForgetMs), 0);
}

TEST(LateAnswers, KnowWhoWaits) {
  LateAnswers late;
  late.miss(sae("SAE-A1"), 7, kNo, 1000);
  late.miss(sae("SAE-A1"), 8, kNo, 1000);
  EXPECT_EQ(late.tokens(), (std::vector<RequestToken>{7, 8}));
  EXPECT_TRUE(late.due(999).empty());
  EXPECT_EQ(late.due(1000).size(), 2u);
  EXPECT_EQ(late.waiting(), 0u);
}

}  // namespace
}  // namespace qkms::kms
