#include "drivers/satellite.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace qkms::drivers {
namespace {

constexpr Seconds kEpoch = 1'767'225'600;  // 2026-01-01T00:00Z
constexpr Seconds kDay = 86'400;

const LinkId kLink = LinkId::parse("A-B").value();
const SharedDraws kDraws(kLink, "a seed");

SatelliteLink link_between(Place first, Place second, std::string_view preset = "micius") {
  SatelliteLink link;
  for (const auto& found : satellite_presets()) {
    if (found.name == preset) link.system = found.system;
  }
  link.orbit = {link.system.altitude_km, link.system.inclination_deg, 281, 0, kEpoch};
  link.stations = {GroundStation{first, 1}, GroundStation{second, 1}};
  link.delay_s = 1800;
  return link;
}

const Place kTrieste{45.65, 13.78}, kMadrid{40.4, -3.7}, kVenice{45.44, 12.33}, kTokyo{35.7, 139.7};

TEST(SatelliteRate, FallsWithRangeAndAir) {
  const SatelliteSystem system{500, 97.4, 10'000, 0.2, 0.01};
  EXPECT_NEAR(sifted_bps(system, 90), 9000, 0.01);
  EXPECT_NEAR(sifted_bps(system, 30), 10'000 * std::pow(500 / 909.0, 2) * 0.81, 5);
  EXPECT_EQ(sifted_bps(system, 0), 0);
  EXPECT_EQ(sifted_bps(system, -30), 0);
}

// The pass over Xinglong that was published: 645 km at its nearest, 273 s, 12 kb/s sifted there, 300 939 secret bits.
TEST(SatellitePresets, GiveThePublishedPassOfMicius) {
  const double peak_deg = 49.02;  // where 500 km of height are 645 km away
  EXPECT_NEAR(slant_range_km(500, peak_deg), 645, 0.2);
  double nearest = 90;
  Pass pass;
  for (int longitude = -20; longitude < 20; ++longitude) {
    auto link = link_between({40.4, static_cast<double>(longitude)}, kTokyo);
    for (const Pass& found : schedule_of(link, kDraws, kEpoch, kEpoch + 10 * kDay).passes) {
      if (found.station != 0 || !found.night) continue;
      const double off = std::abs(found.sighting.peak_elevation_deg - peak_deg);
      if (off < nearest) pass = found;
      nearest = std::min(nearest, off);
    }
    EXPECT_NEAR(sifted_bps(link.system, peak_deg), 12'000, 50);
  }
  ASSERT_LT(nearest, 0.5);
  EXPECT_NEAR(pass.sighting.set - pass.sighting.rise, 273, 5);
  EXPECT_NEAR(pass.secret_bits, 300'939, 9000);
}

TEST(SatellitePresets, GiveThePublishedMostOfJinan1) {
  const SatelliteLink link = link_between(kTrieste, kMadrid, "jinan-1");
  double most = 0;
  for (const Pass& pass : schedule_of(link, kDraws, kEpoch, kEpoch + 60 * kDay).passes)
    most = std::max(most, pass.secret_bits);
  EXPECT_NEAR(most, 590'000, 15'000);
}

TEST(Satellite, ServesNoPassByDayOrUnderClouds) {
  SatelliteLink link = link_between(kTrieste, kTokyo);
  link.stations[0].clear_sky = 0.5;
  int served = 0, by_day = 0, clouded = 0;
  for (const Pass& pass : schedule_of(link, kDraws, kEpoch, kEpoch + 60 * kDay).passes) {
    EXPECT_EQ(pass.night, sun_elevation_deg(link.stations[pass.station].place, pass.sighting.peak) < -6);
    const bool useful = pass.night && pass.clear;
    by_day += pass.night ? 0 : 1;
    clouded += pass.clear ? 0 : 1;
    served += pass.secret_bits > 0 ? 1 : 0;
    EXPECT_TRUE(useful || (pass.sifted_bits == 0 && pass.served_from == pass.served_to));
  }
  EXPECT_GT(served, 20);
  EXPECT_GT(by_day, 20);
  EXPECT_GT(clouded, 20);
}

TEST(Satellite, HasItsNightWhereTheSunIsFarEnoughBelowTheHorizon) {
  SatelliteLink link = link_between(kTrieste, kTokyo);
  const auto nights = [&link](std::size_t station) {
    int minutes = 0;
    for (int minute = 0; minute < 1440; ++minute) minutes += is_night(link, station, kEpoch + minute * 60) ? 1 : 0;
    return minutes;
  };
  // The cosine rule with a declination of -23.0 degrees, and the Sun at -6 degrees.
  EXPECT_NEAR(nights(0), 846, 3);
  EXPECT_NEAR(nights(1), 796, 3);
  link.sun_below_deg = -90;
  EXPECT_EQ(nights(0), 1440);
}

TEST(Satellite, PassesAStationNotMoreThanTwiceANight) {
  const SatelliteLink link = link_between(kTrieste, kTokyo);
  std::map<std::pair<std::size_t, int>, int> useful;
  for (const Pass& pass : schedule_of(link, kDraws, kEpoch, kEpoch + 60 * kDay).passes) {
    const double noon = link.stations[pass.station].place.longitude_deg / 360 - 0.5;
    if (pass.secret_bits > 0)
      ++useful[{pass.station, static_cast<int>((pass.sighting.peak - kEpoch) / kDay + noon + 1)}];
  }
  EXPECT_GT(useful.size(), 80u);
  for (const auto& [night, count] : useful) EXPECT_LE(count, 2);
}

TEST(Satellite, GetsNothingFromAPassWithFewSiftedBits) {
  SatelliteLink link = link_between(kTrieste, kTokyo);
  link.min_sifted_bits = 1.5e6;
  int below = 0, above = 0;
  for (const Pass& pass : schedule_of(link, kDraws, kEpoch, kEpoch + 30 * kDay).passes) {
    if (pass.sifted_bits <= 0) continue;
    if (pass.sifted_bits < 1.5e6) {
      EXPECT_EQ(pass.secret_bits, 0);
      ++below;
    } else {
      EXPECT_NEAR(pass.secret_bits, pass.sifted_bits * link.system.secret_part, 1e-6);
      ++above;
    }
  }
  EXPECT_GT(below, 0);
  EXPECT_GT(above, 0);
}

TEST(Satellite, ServesOneStationAtATimeAndForgetsNeither) {
  const SatelliteLink link = link_between(kTrieste, kVenice);  // 110 km apart: their passes overlap
  Seconds busy_until = 0;
  double made[2] = {0, 0};
  for (const Pass& pass : schedule_of(link, kDraws, kEpoch, kEpoch + 30 * kDay).passes) {
    EXPECT_GE(pass.served_to, pass.served_from);
    if (pass.served_to == pass.served_from) continue;
    EXPECT_GE(pass.served_from, busy_until);
    EXPECT_GE(pass.served_from, pass.sighting.rise);
    EXPECT_LE(pass.served_to, pass.sighting.set);
    busy_until = pass.served_to;
    made[pass.station] += pass.secret_bits;
  }
  ASSERT_GT(made[0], 1e6);
  EXPECT_NEAR(made[1] / made[0], 1, 0.5);
}

// What both stations have at any time is the lesser of what either made, once the later downlink and the delay are
// over.
TEST(Satellite, PairsKeysOnceItHasPassedBothStations) {
  const SatelliteLink link = link_between(kTrieste, kMadrid);
  const Schedule schedule = schedule_of(link, kDraws, kEpoch, kEpoch + 14 * kDay);
  ASSERT_GT(schedule.paired.size(), 5u);
  double paired = 0;
  for (const PairedKeys& keys : schedule.paired) {
    paired += keys.bits;
    double made[2] = {0, 0};
    bool ends_a_pass = false;
    for (const Pass& pass : schedule.passes) {
      if (pass.served_to + 1800 <= keys.at + 1e-3) made[pass.station] += pass.secret_bits;
      ends_a_pass |= std::abs(pass.served_to + 1800 - keys.at) < 1e-3 && pass.secret_bits > 0;
    }
    EXPECT_TRUE(ends_a_pass);
    EXPECT_NEAR(paired, std::min(made[0], made[1]), 512);
  }
}

TEST(Satellite, HasTheWeatherOfItsProbability) {
  SatelliteLink link = link_between(kTrieste, kMadrid);
  link.stations[0].clear_sky = 0.3;
  link.stations[1].clear_sky = 0.6;
  int clear[2] = {0, 0}, alike = 0, as_another_seed = 0;
  const SharedDraws other(kLink, "another seed");
  constexpr int kNights = 2000;
  for (int night = 0; night < kNights; ++night) {
    const Seconds midnight = kEpoch + night * kDay;
    bool now[2];
    for (std::size_t station = 0; station < 2; ++station) {
      now[station] = is_clear(link, station, kDraws, midnight);
      clear[station] += now[station] ? 1 : 0;
      EXPECT_EQ(is_clear(link, station, kDraws, midnight - 5 * 3600), now[station]) << "the same night";
    }
    alike += now[0] == now[1] ? 1 : 0;
    as_another_seed += is_clear(link, 0, other, midnight) == now[0] ? 1 : 0;
  }
  EXPECT_NEAR(clear[0], 0.3 * kNights, 100);
  EXPECT_NEAR(clear[1], 0.6 * kNights, 100);
  EXPECT_NEAR(alike, (0.3 * 0.6 + 0.7 * 0.4) * kNights, 120) << "stations have weather of their own";
  EXPECT_NEAR(as_another_seed, (0.3 * 0.3 + 0.7 * 0.7) * kNights, 120);
}

}  // namespace
}  // namespace qkms::drivers
