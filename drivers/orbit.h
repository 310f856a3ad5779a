// Where a satellite and the Sun stand, seen from a place on Earth. Pure functions.
//
// The Earth is a sphere of 6371 km that turns by mean sidereal time; the orbit is a circle whose plane precesses by the
// Earth's oblateness (J2) and by nothing else. Left out: refraction, drag, eccentricity, the oblate Earth under the
// station. So passes are right in length and frequency, and in their hour for weeks; they are not an ephemeris.
#pragma once

#include <vector>

namespace qkms::drivers {

using Seconds = double;  // of model time since 1970-01-01T00:00Z, or a span of it

inline constexpr double kEarthRadiusKm = 6371;

struct Place {
  double latitude_deg = 0;   // north is positive
  double longitude_deg = 0;  // east is positive
  bool operator==(const Place&) const = default;
};

struct Orbit {
  double altitude_km = 500;
  double inclination_deg = 97.4;
  double node_deg = 0;   // right ascension of the ascending node, at `epoch`
  double phase_deg = 0;  // from the ascending node to the satellite, at `epoch`
  Seconds epoch = 0;
};

// Kepler's third law, with GM = 398600.4418 km^3/s^2 (WGS 84).
double period_s(double altitude_km);
// Degrees a day, eastwards: -3/2 J2 (6378.137 km / a)^2 n cos(inclination), J2 = 1.08263e-3. Near 0.9856 the orbit
// keeps its hour (it is Sun-synchronous).
double node_drift_deg_per_day(double altitude_km, double inclination_deg);

// From a place to a satellite that stands at an elevation over it.
double slant_range_km(double altitude_km, double elevation_deg);
// How long a satellite that passes through the zenith is above an elevation, over an Earth at rest.
double overhead_pass_s(double altitude_km, double elevation_deg);

struct Look {
  double elevation_deg = 0;
  double range_km = 0;
};
Look look_at(const Orbit& orbit, const Place& place, Seconds at);

// Greenwich mean sidereal time, 0 to 360: 280.46062 + 360.98564737 d, d in days since J2000.
double sidereal_deg(Seconds at);

// The Sun by the low-precision formulas of the Astronomical Almanac (page C24 in 1996): 0.01 degrees from 1950 to 2050.
struct SunPlace {
  double right_ascension_deg = 0;
  double declination_deg = 0;
};
SunPlace sun_place(Seconds at);
double sun_elevation_deg(const Place& place, Seconds at);

// One time that the satellite is above an elevation.
struct Sighting {
  Seconds rise = 0, peak = 0, set = 0;
  double peak_elevation_deg = 0;
};
// Those with their peak from `from` on and before `to`, in their order.
std::vector<Sighting> sightings(const Orbit& orbit, const Place& place, double min_elevation_deg, Seconds from,
                                Seconds to);

}  // namespace qkms::drivers
