// A satellite that makes keys with two ground stations, one at a time, and pairs them once it has passed both: what it
// does in a span of time, as a pure function. Surprise: keys that are not paired at the end of a span are given up, so
// that nothing before it has to be known.
//
// Rate of a pass: zenith_sifted_bps * (altitude/slant)^2 * 0.9^(1/sin(elevation)), above a least elevation, by night
// and clear sky alone; below some 1e5 sifted bits a pass gives nothing (finite keys: J. S. Sidhu et al., "Finite key
// effects in satellite quantum key distribution", npj Quantum Information 8, 18, 2022). Left out: turbulence, pointing,
// moonlight, clouds within a night, and whether the sky can be foreseen: a station under clouds is not served. Where
// two passes overlap, the station that has less from this span goes first.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "drivers/orbit.h"
#include "drivers/shared_draws.h"

namespace qkms::drivers {

struct SatelliteSystem {
  double altitude_km = 500;
  double inclination_deg = 97.4;
  double zenith_sifted_bps = 20e3;  // sifted bits a second in the zenith, before the air's tenth
  double secret_part = 0.2;         // secret bits per sifted bit
  double qber = 0.011;
  bool operator==(const SatelliteSystem&) const = default;
};

struct SatellitePreset {
  std::string_view name;
  std::string_view source;
  SatelliteSystem system;
};
std::span<const SatellitePreset> satellite_presets();

struct GroundStation {
  Place place;
  double clear_sky = 0.5;  // probability, for a whole night
};

struct SatelliteLink {
  SatelliteSystem system;
  Orbit orbit;
  std::array<GroundStation, 2> stations;
  double min_elevation_deg = 20;
  double sun_below_deg = 6;  // night: the Sun is at least so far below the horizon, at a pass's peak
  double min_sifted_bits = 1e5;
  Seconds delay_s = 0;  // from the end of the later downlink to the paired key
};

double sifted_bps(const SatelliteSystem& system, double elevation_deg);

struct Pass {
  std::size_t station = 0;
  Sighting sighting;
  bool night = false;
  bool clear = false;
  Seconds served_from = 0, served_to = 0;  // equal when the satellite does not serve this pass
  double sifted_bits = 0;
  double secret_bits = 0;
};

// Keys that both stations have from `at` on.
struct PairedKeys {
  Seconds at = 0;
  double bits = 0;
};

struct Schedule {
  std::vector<Pass> passes;  // by rise
  std::vector<PairedKeys> paired;
};

// Everything from `from` to `to`; a pass belongs where its peak is, and its keys with it however late they come.
Schedule schedule_of(const SatelliteLink& link, const SharedDraws& draws, Seconds from, Seconds to);

// One draw for each station and each span from one local noon to the next.
bool is_clear(const SatelliteLink& link, std::size_t station, const SharedDraws& draws, Seconds at);
bool is_night(const SatelliteLink& link, std::size_t station, Seconds at);

}  // namespace qkms::drivers
