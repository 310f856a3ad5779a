#include "drivers/orbit.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace qkms::drivers {
namespace {

constexpr double kGravity = 398600.4418;       // km^3/s^2
constexpr double kEquatorKm = 6378.137;        // to which J2 belongs
constexpr double kOblateness = 1.08262668e-3;  // J2
constexpr Seconds kJ2000 = 946'728'000;        // 2000-01-01T12:00Z
constexpr Seconds kDay = 86'400;
constexpr double kDegree = std::numbers::pi / 180;

double motion_per_s(double altitude_km) {
  const double axis = kEarthRadiusKm + altitude_km;
  return std::sqrt(kGravity / (axis * axis * axis));
}

double turn_of(double degrees) {
  const double rest = std::fmod(degrees, 360);
  return rest < 0 ? rest + 360 : rest;
}

struct Direction {
  double x, y, z;
};

double cosine_between(const Direction& a, const Direction& b) {
  return std::clamp(a.x * b.x + a.y * b.y + a.z * b.z, -1.0, 1.0);
}

Direction zenith_of(const Place& place, Seconds at) {
  const double turned = (sidereal_deg(at) + place.longitude_deg) * kDegree;
  const double latitude = place.latitude_deg * kDegree;
  return {std::cos(latitude) * std::cos(turned), std::cos(latitude) * std::sin(turned), std::sin(latitude)};
}

Direction direction_of(const Orbit& orbit, Seconds at) {
  const Seconds since = at - orbit.epoch;
  const double u = orbit.phase_deg * kDegree + motion_per_s(orbit.altitude_km) * since;
  const double drift = node_drift_deg_per_day(orbit.altitude_km, orbit.inclination_deg) * since / kDay;
  const double node = (orbit.node_deg + drift) * kDegree;
  const double inclination = orbit.inclination_deg * kDegree;
  return {std::cos(node) * std::cos(u) - std::sin(node) * std::sin(u) * std::cos(inclination),
          std::sin(node) * std::cos(u) + std::cos(node) * std::sin(u) * std::cos(inclination),
          std::sin(u) * std::sin(inclination)};
}

// The angle at the Earth's centre between a place and a satellite over it at an elevation.
double centre_angle(double altitude_km, double elevation_deg) {
  const double elevation = elevation_deg * kDegree;
  return std::acos(kEarthRadiusKm * std::cos(elevation) / (kEarthRadiusKm + altitude_km)) - elevation;
}

double range_at(double altitude_km, double cosine) {
  const double radius = kEarthRadiusKm + altitude_km;
  return std::sqrt(kEarthRadiusKm * kEarthRadiusKm + radius * radius - 2 * kEarthRadiusKm * radius * cosine);
}

// Where `height` is highest between two times around its only peak.
template <class Height>
Seconds highest(const Height& height, Seconds low, Seconds high) {
  while (high - low > 0.01) {
    const Seconds third = (high - low) / 3;
    if (height(low + third) < height(high - third)) {
      low += third;
    } else {
      high -= third;
    }
  }
  return (low + high) / 2;
}

// Where `height` crosses `level` between a time below it and one above it.
template <class Height>
Seconds crossing(const Height& height, double level, Seconds below, Seconds above) {
  while (std::abs(above - below) > 0.01) {
    const Seconds middle = (below + above) / 2;
    (height(middle) < level ? below : above) = middle;
  }
  return (below + above) / 2;
}

}  // namespace

double period_s(double altitude_km) { return 2 * std::numbers::pi / motion_per_s(altitude_km); }

double node_drift_deg_per_day(double altitude_km, double inclination_deg) {
  const double ratio = kEquatorKm / (kEarthRadiusKm + altitude_km);
  const double per_s = -1.5 * kOblateness * ratio * ratio * motion_per_s(altitude_km);
  return per_s * std::cos(inclination_deg * kDegree) / kDegree * kDay;
}

double slant_range_km(double altitude_km, double elevation_deg) {
  return range_at(altitude_km, std::cos(centre_angle(altitude_km, elevation_deg)));
}

double overhead_pass_s(double altitude_km, double elevation_deg) {
  return 2 * centre_angle(altitude_km, elevation_deg) / motion_per_s(altitude_km);
}

Look look_at(const Orbit& orbit, const Place& place, Seconds at) {
  const double cosine = cosine_between(zenith_of(place, at), direction_of(orbit, at));
  const double level = kEarthRadiusKm / (kEarthRadiusKm + orbit.altitude_km);
  const double sine = std::sqrt(1 - cosine * cosine);
  return {std::atan2(cosine - level, sine) / kDegree, range_at(orbit.altitude_km, cosine)};
}

double sidereal_deg(Seconds at) { return turn_of(280.46062 + 360.98564737 * ((at - kJ2000) / kDay)); }

SunPlace sun_place(Seconds at) {
  const double days = (at - kJ2000) / kDay;
  const double mean_longitude = 280.461 + 0.9856474 * days;
  const double anomaly = (357.528 + 0.9856003 * days) * kDegree;
  const double longitude = (mean_longitude + 1.915 * std::sin(anomaly) + 0.020 * std::sin(2 * anomaly)) * kDegree;
  const double obliquity = (23.439 - 0.0000004 * days) * kDegree;
  const double ascension = std::atan2(std::cos(obliquity) * std::sin(longitude), std::cos(longitude));
  return {turn_of(ascension / kDegree), std::asin(std::sin(obliquity) * std::sin(longitude)) / kDegree};
}

double sun_elevation_deg(const Place& place, Seconds at) {
  const SunPlace sun = sun_place(at);
  const double ascension = sun.right_ascension_deg * kDegree, declination = sun.declination_deg * kDegree;
  const Direction towards{std::cos(declination) * std::cos(ascension), std::cos(declination) * std::sin(ascension),
                          std::sin(declination)};
  return std::asin(cosine_between(zenith_of(place, at), towards)) / kDegree;
}

std::vector<Sighting> sightings(const Orbit& orbit, const Place& place, double min_elevation_deg, Seconds from,
                                Seconds to) {
  constexpr Seconds kStep = 60;  // a sixth of the time above the horizon of the lowest orbits: no peak is missed
  const auto height = [&](Seconds at) { return look_at(orbit, place, at).elevation_deg; };
  // A quarter of an orbit from the peak the satellite is below the horizon.
  const Seconds quarter = period_s(orbit.altitude_km) / 4;
  std::vector<Sighting> found;
  double before = height(from - kStep), here = height(from);
  for (Seconds at = from; at < to + kStep; at += kStep) {
    const double after = height(at + kStep);
    if (before < here && here >= after) {
      const Seconds peak = highest(height, at - kStep, at + kStep);
      if (peak >= from && peak < to && height(peak) > min_elevation_deg) {
        found.push_back({crossing(height, min_elevation_deg, peak - quarter, peak), peak,
                         crossing(height, min_elevation_deg, peak + quarter, peak), height(peak)});
      }
    }
    before = here;
    here = after;
  }
  return found;
}

}  // namespace qkms::drivers
