#include "drivers/model_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace qkms::drivers {
namespace {

constexpr double kYearS = 365 * 86'400.0;

Setting number(std::string_view name, double& target, double min, double max, std::string_view unit,
               std::string_view sentence) {
  return {name, &target, min, max, unit, {}, sentence, 0};
}

Setting maybe(std::string_view name, std::optional<double>& target, double min, double max, std::string_view unit,
              std::string_view sentence, double example) {
  return {name, &target, min, max, unit, {}, sentence, example};
}

Setting choice(std::string_view name, std::string& target, std::vector<std::string_view> choices,
               std::string_view sentence) {
  return {name, &target, 0, 0, "", std::move(choices), sentence, 0};
}

template <class Presets>
std::vector<std::string_view> names_of(const Presets& presets) {
  std::vector<std::string_view> names;
  for (const auto& preset : presets) names.push_back(preset.name);
  names.push_back(kCustom);
  return names;
}

void add_custom(std::vector<Setting>& all, DecoySystem& to) {
  DecoyParameters& p = to.parameters;
  for (auto& setting : {
           number("attenuation_db_per_km", p.attenuation_db_per_km, 0, 10, "dB/km", "System \"custom\": the fibre's."),
           number("detector_efficiency", p.detector_efficiency, 0, 1, "",
                  "System \"custom\": the receiver's, detector and optics together."),
           number("dark_count", p.dark_count, 0, 1, "", "System \"custom\": probability of a dark count in a pulse."),
           number("misalignment", p.misalignment, 0, 0.5, "",
                  "System \"custom\": part of the signal that arrives at the wrong detector."),
           number("error_correction", p.error_correction, 1, 3, "",
                  "System \"custom\": bits told in error correction, over Shannon's limit."),
           number("intensity", p.intensity, 0.01, 2, "photons", "System \"custom\": mean photons of a signal pulse."),
           number("sifting", p.sifting, 0, 1, "", "System \"custom\": part of the detections that sifting keeps."),
           number("pulse_hz", to.pulse_hz, 1, 1e11, "pulses a second", "System \"custom\": the source's clock."),
       })
    all.push_back(setting);
}

void add_custom(std::vector<Setting>& all, SatelliteSystem& to) {
  for (auto& setting : {
           number("altitude_km", to.altitude_km, 300, 2000, "km", "System \"custom\": of the circular orbit."),
           number("inclination_deg", to.inclination_deg, 0, 180, "degrees", "System \"custom\": of the orbit."),
           number("zenith_sifted_bps", to.zenith_sifted_bps, 1, 1e9, "bits a second",
                  "System \"custom\": sifted rate in the zenith, without air."),
           number("secret_part", to.secret_part, 0, 1, "", "System \"custom\": secret bits per sifted bit."),
           number("qber", to.qber, 0, 0.11, "", "System \"custom\": the QBER that is reported during a pass."),
       })
    all.push_back(setting);
}

std::optional<SettingsProblem> problem_of_station(std::string_view name, const StationSettings& station,
                                                  const SatelliteLink& link) {
  const auto setting = [name](std::string_view rest) { return fmt::format("satellite.{}_{}", name, rest); };
  constexpr std::string_view kNeeded = "is missing; a satellite link has two ground stations, the same at both ends";
  if (!station.latitude_deg) return SettingsProblem{setting("latitude_deg"), std::string(kNeeded)};
  if (!station.longitude_deg) return SettingsProblem{setting("longitude_deg"), std::string(kNeeded)};
  const double northmost = std::min(link.system.inclination_deg, 180 - link.system.inclination_deg);
  const double reach =
      overhead_pass_s(link.system.altitude_km, link.min_elevation_deg) / period_s(link.system.altitude_km) * 180;
  if (std::abs(*station.latitude_deg) < northmost + reach) return std::nullopt;
  return SettingsProblem{
      setting("latitude_deg"),
      fmt::format("is {}; the satellite never stands {} degrees high there: accepted is up to {:.1f} north or south",
                  *station.latitude_deg, link.min_elevation_deg, northmost + reach)};
}

}  // namespace

std::vector<Setting> settings_of(ModelSettings& to) {
  return {
      choice("model", to.model, {"constant", "fibre", "satellite"},
             "How blocks come: always rate_bps, or as the physics in the sections below says."),
      number("speed", to.speed, 1, 100'000, "",
             "Models \"fibre\" and \"satellite\": so many times faster than real time, from epoch_s on."),
      number("epoch_s", to.epoch_s, 0, 4'102'444'800, "seconds since 1970",
             "When the model's time and the clock's are the same. The same at both ends, as all of this."),
  };
}

std::vector<Setting> settings_of(FibreSettings& to) {
  std::vector<Setting> all = {
      choice("system", to.system, names_of(fibre_presets()), "Whose devices: docs/simulated-links.md lists them."),
      number("length_km", to.length_km, 0, 1000, "km", "The fibre's length."),
      number("extra_loss_db", to.extra_loss_db, 0, 100, "dB", "Loss in connectors and splices."),
      number("block_bits", to.block_bits, 0, 1e12, "bits",
             "Sifted bits that are distilled together: fewer cost more; 0 is endlessly many."),
      number("qber_limit", to.qber_limit, 0, 0.5, "", "Above this QBER no key is made."),
      number("qber_drift", to.qber_drift, 0, 0.1, "", "The misalignment error wanders so far up and down."),
      number("drift_s", to.drift_s, 10, kYearS, "seconds", "It goes to another value in this time."),
      number("dropout_every_s", to.dropout_every_s, 0, kYearS, "seconds",
             "The devices lose each other once in each such time, at a time that is drawn; 0 is never."),
      number("dropout_s", to.dropout_s, 1, kYearS, "seconds",
             "How long this lasts: half of it without a signal, half with a high QBER while they align themselves."),
      number("eavesdropper", to.eavesdropper, 0, 1, "",
             "Part of the pulses that an eavesdropper intercepts and sends again: QBER rises by a quarter of it."),
      number("eavesdropper_every_s", to.eavesdropper_every_s, 0, kYearS, "seconds",
             "The eavesdropper comes once in each such time, at a time that is drawn; 0 is always there."),
      number("eavesdropper_s", to.eavesdropper_s, 1, kYearS, "seconds", "How long the eavesdropper stays."),
  };
  add_custom(all, to.custom);
  return all;
}

std::vector<Setting> settings_of(SatelliteSettings& to) {
  std::vector<Setting> all = {
      choice("system", to.system, names_of(satellite_presets()),
             "Which satellite: docs/simulated-links.md lists them."),
      maybe("first_latitude_deg", to.first.latitude_deg, -90, 90, "degrees", "One ground station: degrees north.",
            45.65),
      maybe("first_longitude_deg", to.first.longitude_deg, -180, 180, "degrees", "Degrees east.", 13.78),
      number("first_clear_sky", to.first.clear_sky, 0, 1, "", "Part of the nights without clouds."),
      maybe("second_latitude_deg", to.second.latitude_deg, -90, 90, "degrees", "The other ground station.", 40.4),
      maybe("second_longitude_deg", to.second.longitude_deg, -180, 180, "degrees", "Degrees east.", -3.7),
      number("second_clear_sky", to.second.clear_sky, 0, 1, "", "Part of the nights without clouds."),
      number("node_deg", to.node_deg, 0, 360, "degrees", "Right ascension of the orbit's ascending node at epoch_s."),
      number("phase_deg", to.phase_deg, 0, 360, "degrees", "From that node to the satellite at epoch_s."),
      number("min_elevation_deg", to.min_elevation_deg, 5, 80, "degrees", "Passes count above this elevation."),
      number("sun_below_deg", to.sun_below_deg, -90, 90, "degrees",
             "Passes count while the Sun is so far below the horizon; -90 is day and night."),
      number("min_sifted_bits", to.min_sifted_bits, 0, 1e12, "bits", "A pass with fewer sifted bits gives no key."),
      number("delay_s", to.delay_s, 0, 604'800, "seconds",
             "From the end of the later station's pass until the paired key is there."),
      number("keep_days", to.keep_days, 1, 90, "days",
             "At the end of each such span the satellite forgets what it could not pair."),
  };
  add_custom(all, to.custom);
  return all;
}

std::optional<SettingsProblem> problem_of(const ModelSettings& settings) {
  if (settings.model != "satellite") return std::nullopt;
  const SatelliteSettings& satellite = settings.satellite;
  const SatelliteLink link = link_of(satellite, settings.epoch_s);
  if (auto problem = problem_of_station("first", satellite.first, link)) return problem;
  return problem_of_station("second", satellite.second, link);
}

FibreSystem system_of(const FibreSettings& settings) {
  for (const auto& preset : fibre_presets()) {
    if (preset.name == settings.system) return preset.system;
  }
  return settings.custom;
}

double loss_db(const FibreSettings& settings) {
  return attenuation_db_per_km(system_of(settings)) * settings.length_km + settings.extra_loss_db;
}

SatelliteLink link_of(const SatelliteSettings& settings, Seconds epoch) {
  SatelliteLink link;
  link.system = settings.custom;
  for (const auto& preset : satellite_presets()) {
    if (preset.name == settings.system) link.system = preset.system;
  }
  link.orbit = {link.system.altitude_km, link.system.inclination_deg, settings.node_deg, settings.phase_deg, epoch};
  const auto station = [](const StationSettings& from) {
    return GroundStation{{from.latitude_deg.value_or(0), from.longitude_deg.value_or(0)}, from.clear_sky};
  };
  link.stations = {station(settings.first), station(settings.second)};
  link.min_elevation_deg = settings.min_elevation_deg;
  link.sun_below_deg = settings.sun_below_deg;
  link.min_sifted_bits = settings.min_sifted_bits;
  link.delay_s = settings.delay_s;
  return link;
}

}  // namespace qkms::drivers
