#include "drivers/satellite.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace qkms::drivers {
namespace {

constexpr double kAirTransmission = 0.9;  // of a vertical path
constexpr Seconds kDay = 86'400;
constexpr double kLeastPair = 512;  // bits: a device's smallest block

double sifted_bits_between(const SatelliteLink& link, const Place& place, Seconds from, Seconds to) {
  const auto steps = static_cast<int>(std::ceil(to - from));  // of a second at most
  const Seconds step = (to - from) / std::max(1, steps);
  double bits = 0;
  for (int i = 0; i < steps; ++i) {
    bits += sifted_bps(link.system, look_at(link.orbit, place, from + (i + 0.5) * step).elevation_deg) * step;
  }
  return bits;
}

std::vector<Pass> passes_of(const SatelliteLink& link, const SharedDraws& draws, Seconds from, Seconds to) {
  std::vector<Pass> passes;
  for (std::size_t station = 0; station < link.stations.size(); ++station) {
    const Place& place = link.stations[station].place;
    for (const Sighting& sighting : sightings(link.orbit, place, link.min_elevation_deg, from, to)) {
      passes.push_back({station, sighting, is_night(link, station, sighting.peak),
                        is_clear(link, station, draws, sighting.peak), sighting.set, sighting.set, 0, 0});
    }
  }
  std::ranges::sort(passes, {}, [](const Pass& pass) { return std::pair(pass.sighting.rise, pass.station); });
  return passes;
}

void count_bits(const SatelliteLink& link, Pass& pass) {
  pass.sifted_bits = sifted_bits_between(link, link.stations[pass.station].place, pass.served_from, pass.served_to);
  if (pass.sifted_bits >= link.min_sifted_bits) pass.secret_bits = pass.sifted_bits * link.system.secret_part;
}

// One station at a time. A pass is cut short by that of a station which has less.
void serve(const SatelliteLink& link, std::vector<Pass>& passes) {
  std::array<double, 2> made{};
  Seconds busy_until = 0;
  const auto is_useful = [](const Pass& pass) { return pass.night && pass.clear; };
  for (auto pass = passes.begin(); pass != passes.end(); ++pass) {
    if (!is_useful(*pass)) continue;
    pass->served_from = std::clamp(busy_until, pass->sighting.rise, pass->sighting.set);
    pass->served_to = pass->sighting.set;
    const auto next = std::find_if(std::next(pass), passes.end(), is_useful);
    if (next != passes.end() && next->sighting.rise < pass->served_to && made[next->station] < made[pass->station]) {
      pass->served_to = std::max(pass->served_from, next->sighting.rise);
    }
    busy_until = std::max(busy_until, pass->served_to);
    count_bits(link, *pass);
    made[pass->station] += pass->secret_bits;
  }
}

std::vector<PairedKeys> paired_keys(const SatelliteLink& link, std::vector<Pass> passes) {
  std::ranges::sort(passes, {}, [](const Pass& pass) { return std::pair(pass.served_to, pass.station); });
  std::array<double, 2> waiting{};  // on board, with one station alone
  std::vector<PairedKeys> paired;
  for (const Pass& pass : passes) {
    waiting[pass.station] += pass.secret_bits;
    const double both = std::min(waiting[0], waiting[1]);
    if (both < kLeastPair) continue;
    for (double& bits : waiting) bits -= both;
    paired.push_back({pass.served_to + link.delay_s, both});
  }
  return paired;
}

}  // namespace

std::span<const SatellitePreset> satellite_presets() {
  static const std::array presets = {
      // 12 kb/s sifted at 645 km, and a secret part by which the pass that comes so near gives 300 939 bits.
      SatellitePreset{"micius", "S.-K. Liao et al., Nature 549, 43 (2017)", {500, 97.4, 23e3, 0.148, 0.011}},
      // How 0.59 Mbit divide into sifted rate and secret part is assumed.
      SatellitePreset{"jinan-1",
                      "Y. Li et al., arXiv 2408.10994: a pass through the zenith gives 0.59 Mbit",
                      {500, 97.4, 23e3, 0.193, 0.011}},
      SatellitePreset{
          "eagle-1-like", "the rates of micius from 600 km: none are published", {600, 97.8, 23e3, 0.148, 0.011}},
  };
  return presets;
}

double sifted_bps(const SatelliteSystem& system, double elevation_deg) {
  if (elevation_deg <= 0) return 0;
  const double spread = system.altitude_km / slant_range_km(system.altitude_km, elevation_deg);
  const double air = std::pow(kAirTransmission, 1 / std::sin(elevation_deg * std::numbers::pi / 180));
  return system.zenith_sifted_bps * spread * spread * air;
}

bool is_clear(const SatelliteLink& link, std::size_t station, const SharedDraws& draws, Seconds at) {
  const GroundStation& ground = link.stations[station];
  const double local_days = (at + ground.place.longitude_deg / 360 * kDay) / kDay;
  const auto night = static_cast<std::uint64_t>(std::max(0.0, std::floor(local_days - 0.5)));
  return draws.uniform("clear sky", night, station) < ground.clear_sky;
}

bool is_night(const SatelliteLink& link, std::size_t station, Seconds at) {
  return sun_elevation_deg(link.stations[station].place, at) < -link.sun_below_deg;
}

Schedule schedule_of(const SatelliteLink& link, const SharedDraws& draws, Seconds from, Seconds to) {
  Schedule schedule{passes_of(link, draws, from, to), {}};
  serve(link, schedule.passes);
  schedule.paired = paired_keys(link, schedule.passes);
  return schedule;
}

}  // namespace qkms::drivers
