#include "drivers/orbit.h"

#include <gtest/gtest.h>

#include <cmath>

namespace qkms::drivers {
namespace {

constexpr Seconds kEpoch = 1'767'225'600;  // 2026-01-01T00:00Z
constexpr Seconds kDay = 86'400;

TEST(Orbit, HasThePeriodsRangesAndPassesOfItsHeight) {
  EXPECT_NEAR(period_s(500), 5668, 0.5);
  EXPECT_NEAR(period_s(600), 5792, 0.5);
  const struct {
    double altitude_km;
    double range_km[5];  // at 10, 20, 30, 45 and 90 degrees
    double pass_s[2];    // above 10 and 20 degrees
  } rows[] = {{500, {1695, 1193, 909, 683, 500}, {443, 296}}, {600, {1932, 1392, 1075, 815, 600}, {510, 348}}};
  const double elevations[] = {10, 20, 30, 45, 90};
  for (const auto& row : rows) {
    for (int i = 0; i < 5; ++i) {
      EXPECT_NEAR(slant_range_km(row.altitude_km, elevations[i]), row.range_km[i], 0.6) << elevations[i];
    }
    for (int i = 0; i < 2; ++i) {
      EXPECT_NEAR(overhead_pass_s(row.altitude_km, elevations[i]), row.pass_s[i], 0.6) << elevations[i];
    }
  }
}

TEST(Orbit, KeepsItsHourWhereItIsSunSynchronous) {
  EXPECT_NEAR(node_drift_deg_per_day(500, 97.4), 0.9856, 0.01);
  EXPECT_NEAR(node_drift_deg_per_day(600, 97.8), 0.9856, 0.01);
  EXPECT_NEAR(node_drift_deg_per_day(500, 90), 0, 1e-9);
  EXPECT_LT(node_drift_deg_per_day(420, 51.6), -4.9);  // as the space station's
}

// The Earth turns eastwards: a satellite over the equator comes back later when it goes the same way.
TEST(Orbit, ComesBackOverTheEquatorAfterItsSynodicPeriod) {
  const Seconds period = period_s(500), turn = 86'164;
  for (const double inclination : {0.0, 180.0}) {
    const double drift = node_drift_deg_per_day(500, inclination) / 360 / kDay;  // turns a second
    const double way = inclination == 0 ? 1 : -1;
    const Seconds synodic = 1 / (1 / period + way * (drift - 1 / turn));
    const auto seen = sightings({500, inclination, 10, 20, kEpoch}, {0, 30}, 20, kEpoch, kEpoch + kDay);
    ASSERT_GE(seen.size(), 13u);
    for (std::size_t i = 1; i < seen.size(); ++i) {
      EXPECT_NEAR(seen[i].peak - seen[i - 1].peak, synodic, 1) << inclination;
      EXPECT_NEAR(seen[i].peak_elevation_deg, 90, 0.5);
    }
  }
}

TEST(Sightings, RiseAndSetAtTheLeastElevationAndLastAsLongAsTheirHeightSays) {
  const Orbit orbit{500, 97.4, 281, 0, kEpoch};
  const Place trieste{45.65, 13.78};
  const auto seen = sightings(orbit, trieste, 20, kEpoch, kEpoch + 30 * kDay);
  EXPECT_GE(seen.size(), 45u);
  EXPECT_LE(seen.size(), 90u);  // one and a half to three a day
  int overhead = 0;
  for (const Sighting& pass : seen) {
    EXPECT_NEAR(look_at(orbit, trieste, pass.rise).elevation_deg, 20, 0.01);
    EXPECT_NEAR(look_at(orbit, trieste, pass.set).elevation_deg, 20, 0.01);
    EXPECT_GT(pass.peak_elevation_deg, look_at(orbit, trieste, pass.peak - 5).elevation_deg);
    EXPECT_GT(pass.peak_elevation_deg, look_at(orbit, trieste, pass.peak + 5).elevation_deg);
    EXPECT_LT(pass.set - pass.rise, overhead_pass_s(500, 20) * 1.02);
    const Look look = look_at(orbit, trieste, pass.rise + 20);
    EXPECT_NEAR(look.range_km, slant_range_km(500, look.elevation_deg), 0.01);
    if (pass.peak_elevation_deg < 75) continue;
    ++overhead;
    EXPECT_NEAR(pass.set - pass.rise, overhead_pass_s(500, 20), 9);  // the Earth turns meanwhile
  }
  EXPECT_GT(overhead, 0);
}

TEST(Sightings, BelongToOneSpanEach) {
  const Orbit orbit{600, 97.8, 281, 0, kEpoch};
  const Place madrid{40.4, -3.7};
  const auto whole = sightings(orbit, madrid, 10, kEpoch, kEpoch + 3 * kDay);
  ASSERT_FALSE(whole.empty());
  std::size_t parts = 0;
  for (int hour = 0; hour < 72; ++hour) {
    parts += sightings(orbit, madrid, 10, kEpoch + hour * 3600, kEpoch + (hour + 1) * 3600).size();
  }
  EXPECT_EQ(parts, whole.size());
  const Seconds peak = whole[0].peak;
  EXPECT_EQ(sightings(orbit, madrid, 10, peak - 100, peak - 1).size(), 0u);
  EXPECT_EQ(sightings(orbit, madrid, 10, peak - 1, peak + 1).size(), 1u);
}

// Ephemeris of 1999-08-01, 0 h UT: declination +18 deg 10' 51.9", Greenwich hour angle 178 deg 24' 39.3"; of
// 1999-08-15: +14 deg 15' 22.8", 178 deg 50' 23.6".
TEST(Sun, StandsWhereAnEphemerisSays) {
  const struct {
    Seconds at;
    double declination, hour_angle;
  } rows[] = {{933'465'600, 18 + 10 / 60.0 + 51.9 / 3600, 178 + 24 / 60.0 + 39.3 / 3600},
              {934'675'200, 14 + 15 / 60.0 + 22.8 / 3600, 178 + 50 / 60.0 + 23.6 / 3600}};
  for (const auto& row : rows) {
    const SunPlace sun = sun_place(row.at);
    EXPECT_NEAR(sun.declination_deg, row.declination, 0.01);
    const double hour_angle = std::fmod(sidereal_deg(row.at) - sun.right_ascension_deg + 360, 360);
    EXPECT_NEAR(hour_angle, row.hour_angle, 0.02);
    EXPECT_NEAR(sun_elevation_deg({row.declination, -row.hour_angle}, row.at), 90, 0.05);
    EXPECT_NEAR(sun_elevation_deg({-row.declination, 180 - row.hour_angle}, row.at), -90, 0.05);
  }
}

}  // namespace
}  // namespace qkms::drivers
