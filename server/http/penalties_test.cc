#include "server/http/penalties.h"

#include <gtest/gtest.h>

namespace qkms::server::http {
namespace {

using std::chrono::milliseconds;

class PenaltiesTest : public ::testing::Test {
 protected:
  PenaltiesTest() { penalties.set_limit(5); }
  int failures_until_kept_out(const std::string& address) {
    int count = 0;
    for (; penalties.lets_in(address, now) && count < 1000; ++count) penalties.failed(address, now);
    return count;
  }
  Penalties penalties;
  Penalties::Clock::time_point now = Penalties::Clock::now();
};

TEST_F(PenaltiesTest, KeepOutWhoeverGoesOnFailingAndNobodyElse) {
  EXPECT_EQ(failures_until_kept_out("a"), 50);
  EXPECT_FALSE(penalties.lets_in("a", now));
  EXPECT_TRUE(penalties.lets_in("b", now));
  now += milliseconds(1000);
  EXPECT_EQ(failures_until_kept_out("a"), 5);
}

TEST_F(PenaltiesTest, AreForgivenInTime) {
  failures_until_kept_out("a");
  now += std::chrono::seconds(20);
  EXPECT_EQ(failures_until_kept_out("a"), 50);
}

TEST_F(PenaltiesTest, CanBeSwitchedOff) {
  failures_until_kept_out("a");
  penalties.set_limit(0);
  EXPECT_EQ(failures_until_kept_out("a"), 1000);
}

TEST_F(PenaltiesTest, RememberNoMoreThanALimitedNumberOfAddresses) {
  for (std::size_t i = 0; i < Penalties::kMostAddresses + 10; ++i) penalties.failed(std::to_string(i), now);
  EXPECT_TRUE(penalties.lets_in("0", now));
}

}  // namespace
}  // namespace qkms::server::http
