// What a simulated link's models can be told, each with its range and a sentence. The configuration file of the daemon
// and the command line of qkms-link-model both come from the tables here, so they cannot disagree.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "drivers/fibre.h"
#include "drivers/satellite.h"

namespace qkms::drivers {

inline constexpr std::string_view kCustom = "custom";  // no preset: the settings after it

struct FibreSettings {
  std::string system = "ideal-1ghz";
  double length_km = 25;
  double extra_loss_db = 0;
  DecoySystem custom;
  double block_bits = 1e7;
  double qber_limit = 0.11;
  double qber_drift = 0.005;
  double drift_s = 3600;
  double dropout_every_s = 0;
  double dropout_s = 300;
  double eavesdropper = 0;
  double eavesdropper_every_s = 0;
  double eavesdropper_s = 600;
  bool operator==(const FibreSettings&) const = default;
};

struct StationSettings {
  std::optional<double> latitude_deg, longitude_deg;
  double clear_sky = 0.5;
  bool operator==(const StationSettings&) const = default;
};

struct SatelliteSettings {
  std::string system = "micius";
  SatelliteSystem custom;
  double node_deg = 281;  // with a Sun-synchronous orbit and the usual epoch: passes near midnight
  double phase_deg = 0;
  StationSettings first, second;
  double min_elevation_deg = 20;
  double sun_below_deg = 6;
  double min_sifted_bits = 1e5;
  double delay_s = 3600;
  double keep_days = 7;
  bool operator==(const SatelliteSettings&) const = default;
};

struct ModelSettings {
  std::string model = "constant";
  double speed = 1;
  double epoch_s = 1'767'225'600;  // 2026-01-01T00:00Z
  FibreSettings fibre;
  SatelliteSettings satellite;
  bool operator==(const ModelSettings&) const = default;
};

// One setting as data. `target` must outlive it.
struct Setting {
  std::string_view name;
  std::variant<double*, std::optional<double>*, std::string*> target;
  double min = 0, max = 0;                // of a number
  std::string_view unit;                  // likewise; "" for a pure number
  std::vector<std::string_view> choices;  // of a text
  std::string_view sentence;
  double example = 0;  // of a number that has no default
};
std::vector<Setting> settings_of(ModelSettings& settings);  // of those that are no section of their own
std::vector<Setting> settings_of(FibreSettings& settings);
std::vector<Setting> settings_of(SatelliteSettings& settings);

struct SettingsProblem {
  std::string setting;   // "satellite.first_latitude_deg"
  std::string sentence;  // "is missing; ..."
};
// What no single range can say; nothing when the settings fit together. They must be within their ranges.
std::optional<SettingsProblem> problem_of(const ModelSettings& settings);

// The preset that is named, or the custom one. The settings must have no problem.
FibreSystem system_of(const FibreSettings& settings);
double loss_db(const FibreSettings& settings);
SatelliteLink link_of(const SatelliteSettings& settings, Seconds epoch);

}  // namespace qkms::drivers
