// T32: a certificate that had expired at a time that was reached does not become valid by turning the clock back.
#include "certs/wall_clock.h"

#include <gtest/gtest.h>
#include <time.h>

#include "certs/test_listener.h"
#include "certs/verify_again.h"

namespace qkms::certs {
namespace {

constexpr std::int64_t kHour = 3600;

// The floor cannot be lowered, so the test turns the time forward under the real clock instead of that clock back.
class WallClock : public ListenerTest {
 protected:
  Handshake shake_hands_as(const Credential& leaf) {
    return shake_hands(listener().get(), make_careless_client({&leaf, {}}).get());
  }
};

TEST_F(WallClock, JudgesCertificatesAndListsByTheFloorWhenTheClockIsBehindIt) {
  CertificateSpec spec;
  spec.to_days = 0;
  spec.to_seconds = kHour;
  const Credential brief = make_certificate(spec, &ca_);
  const Credential longer = make_certificate({}, &ca_);
  const std::string brief_list = make_crl({.to_seconds = kHour}, ca_);
  EXPECT_EQ(seconds_behind_floor(), 0);
  const auto before = shake_hands_as(brief);
  ASSERT_TRUE(before.done);
  ASSERT_TRUE(listener_with(brief_list));

  raise_floor(time(nullptr) + 2 * kHour);
  EXPECT_NEAR(static_cast<double>(seconds_behind_floor()), 2 * kHour, 5);
  EXPECT_NEAR(static_cast<double>(judged_time() - time(nullptr)), 2 * kHour, 5);
  const auto after = shake_hands_as(brief);
  EXPECT_FALSE(after.done);
  EXPECT_EQ(after.verify_result, X509_V_ERR_CERT_HAS_EXPIRED);
  EXPECT_FALSE(verify_again(listener().get(), before.server.get()));
  EXPECT_TRUE(shake_hands_as(longer).done);
  auto with = files();
  with.crl = write("crl.pem", brief_list);
  EXPECT_FALSE(make_server_context(with, TlsMinimum::k1_2));

  raise_floor(1);
  EXPECT_GT(seconds_behind_floor(), kHour);  // never lower
}

TEST_F(WallClock, BelievesNoTimeBeforeTheBuild) {
  EXPECT_GE(judged_time(), QKMS_BUILD_DAY_UNIX_S);
  EXPECT_GT(QKMS_BUILD_DAY_UNIX_S, 1'767'225'600);  // 2026
}

}  // namespace
}  // namespace qkms::certs
