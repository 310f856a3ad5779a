#include "drivers/link_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "drivers/simulated_link.h"

namespace qkms::drivers {
namespace {

constexpr Seconds kEpoch = 1'767'225'600;  // 2026-01-01T00:00Z
const LinkId kLink = LinkId::parse("A-B").value();
const SharedDraws kDraws(kLink, "a seed");

ModelSettings fibre_settings() {
  ModelSettings settings;
  settings.model = "fibre";
  settings.fibre.system = "device-100k";
  settings.fibre.length_km = 50;  // 10 dB
  settings.fibre.qber_drift = 0;
  return settings;
}

ModelSettings satellite_settings() {
  ModelSettings settings;
  settings.model = "satellite";
  settings.satellite.first = {45.65, 13.78, 0.6};
  settings.satellite.second = {40.4, -3.7, 0.6};
  return settings;
}

TEST(FibreModel, MakesItsRateWhileNothingDisturbs) {
  const auto model = make_model(fibre_settings(), kDraws);
  EXPECT_NEAR(model->bits(kEpoch, kEpoch + 60), 6e6, 1);
  EXPECT_NEAR(model->usual_rate_bps().value(), 1e5, 1e-6);
  const DeviceReport report = model->report(kEpoch);
  EXPECT_NEAR(report.qber.value(), 0.02, 1e-9);
  EXPECT_NEAR(report.rate_bps.value(), 1e5, 1e-6);
  EXPECT_EQ(report.alarm, "");
}

TEST(FibreModel, DriftsSmoothlyWithinItsBoundsAndAlikeForOneSeed) {
  ModelSettings settings = fibre_settings();
  settings.fibre.qber_drift = 0.01;
  settings.fibre.drift_s = 600;
  const auto one = make_model(settings, kDraws), twin = make_model(settings, kDraws);
  const auto other = make_model(settings, SharedDraws(kLink, "another seed"));
  double least = 1, most = 0, last = one->report(kEpoch).qber.value(), apart = 0;
  for (Seconds at = kEpoch; at < kEpoch + 86'400; at += 10) {
    const double qber = one->report(at).qber.value();
    EXPECT_EQ(qber, twin->report(at).qber.value());
    EXPECT_LT(std::abs(qber - last), 0.02 * 1.5 * 10 / 600 + 1e-9);  // the steepest that a smooth step is
    apart = std::max(apart, std::abs(qber - other->report(at).qber.value()));
    least = std::min(least, qber);
    most = std::max(most, qber);
    last = qber;
  }
  EXPECT_GE(least, 0.01);
  EXPECT_LE(most, 0.03);
  EXPECT_GT(most - least, 0.015);
  EXPECT_GT(apart, 0.005);
}

// Once an hour for ten minutes: five without a signal, five with a QBER that sinks from 25 % above the usual.
TEST(FibreModel, DropsOutAndAlignsItselfAgain) {
  ModelSettings settings = fibre_settings();
  settings.fibre.dropout_every_s = 3600;
  settings.fibre.dropout_s = 600;
  const auto model = make_model(settings, kDraws);
  int dark = 0, above = 0, silent = 0;
  double last = 0.02;
  bool was_dark = false;
  for (int i = 0; i < 48 * 3600; i += 5) {
    const DeviceReport now = model->report(kEpoch + i);
    dark += now.qber ? 0 : 1;
    above += now.qber.value_or(0) > 0.11 ? 1 : 0;
    silent += *now.rate_bps > 0 ? 0 : 1;
    EXPECT_EQ(now.alarm.empty(), *now.rate_bps > 0);
    if (now.qber) {
      EXPECT_TRUE(was_dark ? std::abs(*now.qber - 0.27) < 0.01 : *now.qber <= last + 1e-9) << i;
    }
    was_dark = !now.qber;
    last = now.qber.value_or(0.27);
  }
  EXPECT_NEAR(dark * 5, 48 * 300, 48 * 10);
  EXPECT_NEAR(above * 5, 48 * 300 * (0.27 - 0.11) / 0.25, 48 * 10);
  EXPECT_GT(silent, dark + above) << "below the limit too there is a QBER that leaves no key";
  double bits = 0;
  for (int minute = 0; minute < 48 * 60; ++minute) bits += model->bits(kEpoch + minute * 60, kEpoch + minute * 60 + 60);
  EXPECT_NEAR(bits / (1e5 * 48 * 3600), 1 - 565 / 3600.0, 0.01);
}

TEST(FibreModel, MakesLessKeyAndThenNoneUnderAnEavesdropper) {
  ModelSettings settings = fibre_settings();
  double last = 1e9;
  for (const double part : {0.0, 0.05, 0.1}) {
    settings.fibre.eavesdropper = part;
    const auto model = make_model(settings, kDraws);
    EXPECT_NEAR(model->report(kEpoch).qber.value(), 0.02 + part / 4, 1e-9);
    const double bits = model->bits(kEpoch, kEpoch + 60);
    EXPECT_LT(bits, last);
    EXPECT_GT(bits, 0);
    last = bits;
  }
  settings.fibre.eavesdropper = 0.372;
  const auto model = make_model(settings, kDraws);
  EXPECT_EQ(model->bits(kEpoch, kEpoch + 60), 0);
  EXPECT_EQ(model->report(kEpoch).rate_bps, 0);
  EXPECT_EQ(model->report(kEpoch).alarm, "QBER 11.3 % is above the limit of 11.0 %: no key is made");
}

TEST(FibreModel, MakesNoBlockWhoseMeanQberIsAboveTheLimit) {
  ModelSettings settings = fibre_settings();
  settings.fibre.qber_limit = 0.03;
  settings.fibre.eavesdropper = 0.039;  // 2.98 %: below
  EXPECT_GT(make_model(settings, kDraws)->bits(kEpoch, kEpoch + 60), 0);
  settings.fibre.eavesdropper = 0.041;  // 3.03 %, at which the formula would still give key
  EXPECT_EQ(make_model(settings, kDraws)->bits(kEpoch, kEpoch + 60), 0);
  settings.fibre.qber_limit = 0.031;
  EXPECT_GT(make_model(settings, kDraws)->bits(kEpoch, kEpoch + 60), 0);
}

TEST(FibreModel, MeetsItsEavesdropperOnceInEachTime) {
  ModelSettings settings = fibre_settings();
  settings.fibre.eavesdropper = 1;
  settings.fibre.eavesdropper_every_s = 7200;
  settings.fibre.eavesdropper_s = 900;
  const auto model = make_model(settings, kDraws);
  std::set<double> begins;
  for (int span = 0; span < 12; ++span) {
    const Seconds start = std::ceil(kEpoch / 7200) * 7200 + span * 7200;
    int seconds = 0;
    for (int i = 0; i < 7200; i += 10) {
      if (model->report(start + i).qber.value() < 0.2) continue;
      if (seconds == 0) begins.insert(i);
      seconds += 10;
    }
    EXPECT_NEAR(seconds, 900, 10) << span;
  }
  EXPECT_GT(begins.size(), 8u) << "not always at the same time";
}

TEST(SatelliteModel, GivesEveryPairedKeyOnceAtItsTime) {
  const ModelSettings settings = satellite_settings();
  const auto model = make_model(settings, kDraws);
  const SatelliteLink link = link_of(settings.satellite, settings.epoch_s);
  const Seconds week = 7 * 86'400, begin = std::floor(kEpoch / week) * week;
  double expected = 0;
  std::size_t bursts = 0;
  for (int n = 0; n < 4; ++n) {
    for (const auto& keys : schedule_of(link, kDraws, begin + n * week, begin + (n + 1) * week).paired) {
      expected += keys.bits;
      ++bursts;
      EXPECT_NEAR(model->bits(keys.at - 0.5, keys.at), keys.bits, 1e-6) << "all at once";
      EXPECT_EQ(model->bits(keys.at, keys.at + 0.5), 0) << "and once";
    }
  }
  EXPECT_GT(bursts, 8u);
  EXPECT_NEAR(model->bits(begin, begin + 4 * week + 7200), expected, 1e-3);
  double sum = 0;
  for (Seconds at = begin; at < begin + 4 * week + 7200; at += 600) sum += model->bits(at, at + 600);
  EXPECT_NEAR(sum, expected, 1e-3);
}

TEST(SatelliteModel, GivesKeysThatComeLongAfterTheirPasses) {
  ModelSettings settings = satellite_settings();
  settings.satellite.delay_s = 604'800;
  settings.satellite.keep_days = 1;
  const auto model = make_model(settings, kDraws);
  const SatelliteLink link = link_of(settings.satellite, settings.epoch_s);
  std::size_t bursts = 0;
  for (int day = 0; day < 14; ++day) {
    for (const auto& keys : schedule_of(link, kDraws, kEpoch + day * 86'400, kEpoch + (day + 1) * 86'400).paired) {
      EXPECT_GT(keys.at, kEpoch + (day + 7) * 86'400);
      EXPECT_NEAR(model->bits(keys.at - 0.5, keys.at), keys.bits, 1e-6);
      ++bursts;
    }
  }
  EXPECT_GT(bursts, 0u);
}

TEST(SatelliteModel, ReportsARateDuringAServedPassAndCloudsOtherwise) {
  const ModelSettings settings = satellite_settings();
  const auto model = make_model(settings, kDraws);
  const SatelliteLink link = link_of(settings.satellite, settings.epoch_s);
  const Seconds week = 7 * 86'400, begin = std::floor(kEpoch / week) * week;
  int served = 0, clouded = 0;
  for (const Pass& pass : schedule_of(link, kDraws, begin, begin + week).passes) {
    const DeviceReport report = model->report(pass.sighting.peak);
    if (pass.secret_bits > 0 && pass.served_from < pass.sighting.peak && pass.sighting.peak < pass.served_to) {
      EXPECT_NEAR(report.rate_bps.value(),
                  sifted_bps(link.system, pass.sighting.peak_elevation_deg) * link.system.secret_part, 1);
      EXPECT_EQ(report.qber, 0.011);
      EXPECT_EQ(report.alarm, "");
      ++served;
    } else if (pass.night && !pass.clear && *report.rate_bps == 0) {
      EXPECT_NE(report.alarm.find("clouds over the "), std::string::npos);
      ++clouded;
    }
  }
  EXPECT_GT(served, 2);
  EXPECT_GT(clouded, 0);
  const DeviceReport noon = model->report(kEpoch + 43'200);
  EXPECT_EQ(noon.rate_bps, 0);
  EXPECT_FALSE(noon.qber.has_value());
}

TEST(ModelSettings, HaveDefaultsWithinTheirRangesAndNamesOfTheirOwn) {
  ModelSettings settings;
  for (const auto& table : {settings_of(settings), settings_of(settings.fibre), settings_of(settings.satellite)}) {
    std::set<std::string_view> names;
    for (const Setting& setting : table) {
      EXPECT_TRUE(names.insert(setting.name).second) << setting.name;
      EXPECT_TRUE(setting.sentence.ends_with('.')) << setting.name;
      if (auto* const* number = std::get_if<double*>(&setting.target)) {
        EXPECT_TRUE(**number >= setting.min && **number <= setting.max) << setting.name;
      } else if (auto* const* text = std::get_if<std::string*>(&setting.target)) {
        EXPECT_NE(std::ranges::find(setting.choices, **text), setting.choices.end()) << setting.name;
      }
    }
  }
}

TEST(ModelSettings, HaveAProblemWithoutStationsThatTheSatelliteSees) {
  EXPECT_FALSE(problem_of(ModelSettings()));
  ModelSettings settings = satellite_settings();
  EXPECT_FALSE(problem_of(settings));
  settings.satellite.second.longitude_deg.reset();
  ASSERT_TRUE(problem_of(settings));
  EXPECT_EQ(problem_of(settings)->setting, "satellite.second_longitude_deg");
  settings = satellite_settings();
  settings.satellite.first.latitude_deg = 89.0;  // a Sun-synchronous orbit comes so far
  EXPECT_FALSE(problem_of(settings));
  settings.satellite.system = "custom";
  settings.satellite.custom.inclination_deg = 50;
  ASSERT_TRUE(problem_of(settings));
  EXPECT_EQ(problem_of(settings)->setting, "satellite.first_latitude_deg");
  settings.model = "fibre";
  EXPECT_FALSE(problem_of(settings)) << "what is not used is not looked at";
}

SimulatedSettings simulated(const ModelSettings& physics, std::uint32_t burst_ms) {
  SimulatedSettings settings;
  settings.seed = "a seed";
  settings.burst_ms = burst_ms;
  settings.physics = physics;
  return settings;
}

// What one end gets when it looks from time to time.
std::vector<std::pair<Millis, Block>> collect(SimulatedLink& link, Millis from, Millis to, Millis step) {
  std::vector<std::pair<Millis, Block>> all;
  for (Millis now = from; now < to + step; now += step) {
    for (Block& block : link.take_due(std::min(now, to))) all.emplace_back(std::min(now, to), std::move(block));
  }
  return all;
}

void expect_equal(const std::vector<std::pair<Millis, Block>>& one,
                  const std::vector<std::pair<Millis, Block>>& other) {
  ASSERT_EQ(one.size(), other.size());
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].second.id, other[i].second.id);
    EXPECT_TRUE(one[i].second.bits.equals(other[i].second.bits));
  }
}

constexpr Millis kStart = static_cast<Millis>(kEpoch) * 1000 + 500;

TEST(SimulatedLink, GivesBothEndsTheSameBlocksOfADisturbedFibre) {
  ModelSettings physics = fibre_settings();
  physics.fibre.qber_drift = 0.01;
  physics.fibre.dropout_every_s = 1800;
  physics.fibre.eavesdropper = 0.5;
  physics.fibre.eavesdropper_every_s = 3600;
  const SimulatedSettings settings = simulated(physics, 60'000);
  SimulatedLink one(kLink, settings, 1, kStart), other(kLink, settings, 2, kStart + 20'000);
  const auto at_one = collect(one, kStart, kStart + 7'200'000, 1000);
  const auto at_other = collect(other, kStart + 20'000, kStart + 7'200'000, 7000);
  expect_equal(at_one, at_other);
  EXPECT_GT(at_one.size(), 60u);
  EXPECT_LT(at_one.size(), 110u) << "some bursts have no block";
  const auto model = make_model(physics, kDraws);
  for (const auto& [at, block] : at_one) {
    const Seconds end = std::floor(static_cast<double>(at) / 60'000) * 60;
    EXPECT_NEAR(static_cast<double>(block.bits.size()), model->bits(end - 60, end) / 8, 1);
  }
}

TEST(SimulatedLink, RunsAWeekOfASatelliteInAnHour) {
  ModelSettings physics = satellite_settings();
  physics.speed = 168;
  const SimulatedSettings settings = simulated(physics, 1000);
  SimulatedLink one(kLink, settings, 1, kStart), other(kLink, settings, 2, kStart + 100);
  const auto at_one = collect(one, kStart, kStart + 3'600'000, 500);
  expect_equal(at_one, collect(other, kStart + 100, kStart + 3'600'000, 900));
  ASSERT_GT(at_one.size(), 3u);
  const auto model = make_model(physics, kDraws);
  double bytes = 0;
  for (const auto& [at, block] : at_one) {
    bytes += static_cast<double>(block.bits.size());
    EXPECT_GE(block.bits.size(), kMinBlockBytes);
  }
  EXPECT_NEAR(bytes, model->bits(kEpoch, kEpoch + 7 * 86'400) / 8, 20);
}

TEST(SimulatedLink, ReportsPerSecondOfWallTime) {
  ModelSettings physics = fibre_settings();
  SimulatedSettings settings = simulated(physics, 1000);
  EXPECT_NEAR(SimulatedLink(kLink, settings, 1, kStart).report(kStart).rate_bps.value(), 1e5, 1);
  settings.physics.speed = 10;
  SimulatedLink fast(kLink, settings, 1, kStart);
  EXPECT_NEAR(fast.report(kStart).rate_bps.value(), 1e6, 1);
  EXPECT_NEAR(static_cast<double>(fast.take_due(kStart + 500).at(0).bits.size()), 125'000, 1);
  settings.physics.model = "constant";
  const DeviceReport constant = SimulatedLink(kLink, settings, 1, kStart).report(kStart);
  EXPECT_EQ(constant, (DeviceReport{std::nullopt, 100'000.0, ""}));
}

TEST(SimulatedLink, MakesBlocksOfASlowFibreFromSeveralBurstsAndNoneBeyondItsEnd) {
  ModelSettings physics = fibre_settings();
  physics.fibre.length_km = 135;  // 27 dB: 2 kb/s
  const SimulatedSource slow(kLink, simulated(physics, 100));
  EXPECT_EQ(slow.stride(), 6u);
  const auto blocks = slow.blocks_of(slow.stride() * 2'945'376'001);
  ASSERT_EQ(blocks.size(), 1u);
  EXPECT_NEAR(static_cast<double>(blocks[0].bits.size()), 1995.26 * 0.6 / 8, 1.1);
  physics.fibre.length_km = 141;
  SimulatedLink none(kLink, simulated(physics, 1000), 1, kStart);
  EXPECT_FALSE(none.next_due().has_value());
  EXPECT_FALSE(none.report(kStart).alarm.empty());
}

TEST(SimulatedLink, BoundsABurstAtAnySpeed) {
  ModelSettings physics = fibre_settings();
  physics.fibre.system = "ideal-1ghz";
  physics.speed = 100'000;
  std::size_t bytes = 0;
  for (const Block& block : SimulatedSource(kLink, simulated(physics, 3'600'000)).blocks_of(490'896)) {
    bytes += block.bits.size();
  }
  EXPECT_EQ(bytes, SimulatedSource::kMaxBurstBytes);
}

}  // namespace
}  // namespace qkms::drivers
