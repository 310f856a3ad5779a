// qkms-link-model: what a simulated link would do, as CSV. The same functions as in the daemon, without its clock.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <map>
#include <span>
#include <string>

#include "drivers/link_model.h"

namespace qkms::drivers {
namespace {

constexpr std::string_view kUsage = R"(usage: qkms-link-model COMMAND [NAME=VALUE ...]

  distance   secret key rate and QBER of a fibre system over its length: from_km, to_km, step_km
  time       rate, QBER and alarms of a link over model time: from_s, hours, step_s
  passes     the passes of a satellite over both ground stations: from_s, hours
  settings   every setting of a link, its range and what it means

NAME is one of the above, or seed, link, or a setting of a simulated link as in the configuration file's section
[links.simulated]: model, epoch_s, fibre.length_km, satellite.system and so on. Times are in model time, seconds since
1970. Example:

  qkms-link-model distance fibre.system=gys to_km=150
)";

struct Span {
  double from_km = 0, to_km = 200, step_km = 1;
  double from_s = 1'767'225'600, hours = 168, step_s = 60;
  std::string seed = "a seed", link = "link-ab";
};

// Every name that may be given, with its section in front.
std::map<std::string, Setting> all_settings(ModelSettings& settings, Span& span) {
  std::map<std::string, Setting> all;
  const auto add = [&all](std::string_view prefix, const std::vector<Setting>& some) {
    for (const auto& setting : some) all.emplace(std::string(prefix) + std::string(setting.name), setting);
  };
  add("", settings_of(settings));
  add("fibre.", settings_of(settings.fibre));
  add("satellite.", settings_of(settings.satellite));
  add("", {{"from_km", &span.from_km, 0, 1000, "km", {}, "Where the curve begins."},
           {"to_km", &span.to_km, 0, 1000, "km", {}, "Where it ends."},
           {"step_km", &span.step_km, 0.001, 1000, "km", {}, "Between two lines."},
           {"from_s", &span.from_s, 0, 4'102'444'800, "seconds since 1970", {}, "Where the time begins."},
           {"hours", &span.hours, 0, 87'600, "hours", {}, "How long it is."},
           {"step_s", &span.step_s, 1, 86'400, "seconds", {}, "Between two lines."},
           {"seed", &span.seed, 0, 0, "", {}, "The link's seed."},
           {"link", &span.link, 0, 0, "", {}, "The link's name."}});
  return all;
}

std::string accepted_by(const Setting& setting) {
  if (!std::holds_alternative<std::string*>(setting.target)) {
    return fmt::format("{} to {}{}{}", setting.min, setting.max, setting.unit.empty() ? "" : " ", setting.unit);
  }
  return setting.choices.empty() ? "a text" : fmt::format("{}", fmt::join(setting.choices, ", "));
}

bool assign(const Setting& setting, std::string_view value) {
  if (auto* const* text = std::get_if<std::string*>(&setting.target)) {
    const auto& choices = setting.choices;
    if (!choices.empty() && std::find(choices.begin(), choices.end(), value) == choices.end()) return false;
    **text = value;
    return !value.empty();
  }
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size()) return false;
  if (!(number >= setting.min && number <= setting.max)) return false;
  if (auto* const* plain = std::get_if<double*>(&setting.target)) {
    **plain = number;
  } else {
    *std::get<std::optional<double>*>(setting.target) = number;
  }
  return true;
}

Result<void> read_arguments(std::span<char*> arguments, const std::map<std::string, Setting>& settings) {
  for (const std::string_view argument : arguments) {
    const auto equals = argument.find('=');
    const auto found = settings.find(std::string(argument.substr(0, equals)));
    if (equals == std::string_view::npos || found == settings.end()) {
      return fail(ErrorCode::kInvalid, fmt::format("'{}' is no NAME=VALUE with a known name", argument));
    }
    if (assign(found->second, argument.substr(equals + 1))) continue;
    return fail(ErrorCode::kInvalid, fmt::format("{}: accepted is {}", argument, accepted_by(found->second)));
  }
  return {};
}

void print_distance(const ModelSettings& settings, const Span& span) {
  FibreSettings fibre = settings.fibre;
  fmt::print("length_km,loss_db,qber,rate_bps\n");
  for (int i = 0; span.from_km + i * span.step_km <= span.to_km; ++i) {
    fibre.length_km = span.from_km + i * span.step_km;
    const double loss = loss_db(fibre);
    const FibreInstant at = fibre_instant(system_of(fibre), loss, 0, fibre.block_bits);
    fmt::print("{:.6g},{:.6g},{:.6g},{:.6g}\n", fibre.length_km, loss, at.qber, at.rate_bps);
  }
}

// For each station: elevation of the satellite and of the Sun, and 1 for a clear sky.
std::string sky(const SatelliteLink& link, const SharedDraws& draws, Seconds at) {
  std::string out;
  for (std::size_t station = 0; station < link.stations.size(); ++station) {
    const Place& place = link.stations[station].place;
    out += fmt::format(",{:.3f},{:.3f},{}", look_at(link.orbit, place, at).elevation_deg, sun_elevation_deg(place, at),
                       is_clear(link, station, draws, at) ? 1 : 0);
  }
  return out;
}

void print_time(const ModelSettings& settings, const Span& span, const SharedDraws& draws) {
  const auto model = make_model(settings, draws);
  const bool satellite = settings.model == "satellite";
  const SatelliteLink link = link_of(settings.satellite, settings.epoch_s);
  fmt::print("time_s,qber,rate_bps,bits,alarm{}\n",
             satellite
                 ? ",first_elevation_deg,first_sun_deg,first_clear,second_elevation_deg,second_sun_deg,second_clear"
                 : "");
  const Seconds end = span.from_s + span.hours * 3600;
  for (int i = 0; span.from_s + i * span.step_s <= end; ++i) {
    const Seconds at = span.from_s + i * span.step_s;
    const DeviceReport report = model->report(at);
    fmt::print("{:.3f},{},{:.6g},{:.10g},\"{}\"{}\n", at, report.qber ? fmt::format("{:.5f}", *report.qber) : "",
               report.rate_bps.value_or(0), model->bits(at - span.step_s, at), report.alarm,
               satellite ? sky(link, draws, at) : "");
  }
}

// In the same spans as the daemon's.
void print_passes(const ModelSettings& settings, const Span& span, const SharedDraws& draws) {
  const SatelliteLink link = link_of(settings.satellite, settings.epoch_s);
  const Seconds days = settings.satellite.keep_days * 86'400;
  const Seconds end = span.from_s + span.hours * 3600;
  fmt::print(
      "station,rise_s,peak_s,set_s,peak_elevation_deg,night,clear,served_from_s,served_to_s,sifted_bits,secret_bits\n");
  for (Seconds begin = std::floor(span.from_s / days) * days; begin < end; begin += days) {
    for (const Pass& pass : schedule_of(link, draws, begin, begin + days).passes) {
      const Sighting& seen = pass.sighting;
      if (seen.peak < span.from_s || seen.peak >= end) continue;
      fmt::print("{},{:.1f},{:.1f},{:.1f},{:.2f},{:d},{:d},{:.1f},{:.1f},{:.0f},{:.0f}\n", pass.station, seen.rise,
                 seen.peak, seen.set, seen.peak_elevation_deg, pass.night, pass.clear, pass.served_from, pass.served_to,
                 pass.sifted_bits, pass.secret_bits);
    }
  }
}

void print_settings(const std::map<std::string, Setting>& settings) {
  for (const auto& [name, setting] : settings)
    fmt::print("{} ({}): {}\n", name, accepted_by(setting), setting.sentence);
}

int refuse(std::string_view why) {
  fmt::print(stderr, "qkms-link-model: {}\nqkms-link-model --help says more.\n", why);
  return 64;
}

int run(std::span<char*> arguments) {
  if (arguments.empty()) return refuse("which COMMAND?");
  const std::string_view command = arguments[0];
  if (command == "--help" || command == "-h") {
    fmt::print("{}", kUsage);
    return 0;
  }
  ModelSettings settings;
  Span span;
  if (command != "distance") settings.model = command == "passes" ? "satellite" : "fibre";
  const auto known = all_settings(settings, span);
  if (command == "settings") {
    print_settings(known);
    return 0;
  }
  if (const auto read = read_arguments(arguments.subspan(1), known); !read) return refuse(read.error().text);
  const auto link = LinkId::parse(span.link);
  if (!link) return refuse(fmt::format("link: {}", link.error().text));
  if (const auto problem = problem_of(settings))
    return refuse(fmt::format("{} {}", problem->setting, problem->sentence));
  const SharedDraws draws(*link, span.seed);
  if (command == "distance") {
    print_distance(settings, span);
  } else if (command == "time" && settings.model != "constant") {
    print_time(settings, span, draws);
  } else if (command == "passes" && settings.model == "satellite") {
    print_passes(settings, span, draws);
  } else {
    return refuse(fmt::format("'{}' is no command for model {}", command, settings.model));
  }
  return 0;
}

}  // namespace
}  // namespace qkms::drivers

int main(int count, char** arguments) {
  return qkms::drivers::run({arguments + 1, static_cast<std::size_t>(count < 1 ? 0 : count - 1)});
}
