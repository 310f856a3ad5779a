#include "drivers/link_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

namespace qkms::drivers {
namespace {

constexpr double kInterceptError = 0.25;  // a pulse that was measured in the wrong basis, half the time, is half wrong
constexpr double kMisaligned = 0.25;      // extra error at the begin of a re-alignment

class FibreModel final : public LinkModel {
 public:
  FibreModel(const FibreSettings& settings, SharedDraws draws)
      : settings_(settings), system_(system_of(settings)), loss_db_(loss_db(settings)), draws_(std::move(draws)) {}

  double bits(Seconds from, Seconds to) const override;
  std::optional<double> usual_rate_bps() const override {
    return fibre_instant(system_, loss_db_, 0, settings_.block_bits).rate_bps;
  }
  DeviceReport report(Seconds at) const override;

 private:
  // What happens once in each span of `every`, at a time that is drawn, for `length`.
  struct Occasion {
    std::string_view what;
    Seconds every, length;
  };
  // How long it has lasted; nothing outside of it.
  std::optional<Seconds> since_begin(const Occasion& occasion, Seconds at) const;
  double drift(Seconds at) const;  // -1 to 1, smooth
  // Nothing: there is no signal.
  std::optional<FibreInstant> instant(Seconds at) const;

  const FibreSettings settings_;
  const FibreSystem system_;
  const double loss_db_;
  const SharedDraws draws_;
};

std::optional<Seconds> FibreModel::since_begin(const Occasion& occasion, Seconds at) const {
  const double span = std::floor(at / occasion.every);
  const Seconds length = std::min(occasion.length, occasion.every);
  const double drawn = draws_.uniform(occasion.what, static_cast<std::uint64_t>(std::max(0.0, span)));
  const Seconds since = at - span * occasion.every - drawn * (occasion.every - length);
  if (since < 0 || since >= length) return std::nullopt;
  return since;
}

// Values that are drawn for each drift_s, with smooth steps between them.
double FibreModel::drift(Seconds at) const {
  const double place = std::max(0.0, at / settings_.drift_s);
  const auto knot = static_cast<std::uint64_t>(place);
  const double x = place - std::floor(place);
  const double weight = x * x * (3 - 2 * x);
  const double mean = (1 - weight) * draws_.uniform("drift", knot) + weight * draws_.uniform("drift", knot + 1);
  return 2 * mean - 1;
}

std::optional<FibreInstant> FibreModel::instant(Seconds at) const {
  double extra = settings_.qber_drift * drift(at);
  if (settings_.dropout_every_s > 0) {
    const Seconds half = std::min(settings_.dropout_s, settings_.dropout_every_s) / 2;
    const auto since = since_begin({"drop-out", settings_.dropout_every_s, 2 * half}, at);
    if (since && *since < half) return std::nullopt;
    if (since) extra += kMisaligned * (2 - *since / half);
  }
  if (settings_.eavesdropper > 0) {
    const Occasion occasion{"eavesdropper", settings_.eavesdropper_every_s, settings_.eavesdropper_s};
    if (occasion.every <= 0 || since_begin(occasion, at)) extra += kInterceptError * settings_.eavesdropper;
  }
  return fibre_instant(system_, loss_db_, extra, settings_.block_bits);
}

double FibreModel::bits(Seconds from, Seconds to) const {
  const int samples = static_cast<int>(std::clamp((to - from) / 5, 1.0, 100.0));
  const Seconds step = (to - from) / samples;
  double bits = 0, detections = 0, errors = 0;
  for (int i = 0; i < samples; ++i) {
    const auto now = instant(from + (i + 0.5) * step);
    if (!now) continue;
    bits += now->rate_bps * step;
    detections += now->gain;
    errors += now->gain * now->qber;
  }
  return errors > settings_.qber_limit * detections ? 0 : bits;
}

DeviceReport FibreModel::report(Seconds at) const {
  const auto now = instant(at);
  if (!now) return {std::nullopt, 0.0, "no signal: the devices have lost each other and make no key"};
  if (now->qber > settings_.qber_limit) {
    return {now->qber, 0.0,
            fmt::format("QBER {:.1f} % is above the limit of {:.1f} %: no key is made", now->qber * 100,
                        settings_.qber_limit * 100)};
  }
  if (now->rate_bps > 0) return {now->qber, now->rate_bps, ""};
  return {now->qber, 0.0,
          fmt::format("a QBER of {:.1f} % and a loss of {:.1f} dB leave no key", now->qber * 100, loss_db_)};
}

class SatelliteModel final : public LinkModel {
 public:
  SatelliteModel(const SatelliteSettings& settings, Seconds epoch, SharedDraws draws)
      : link_(link_of(settings, epoch)), span_(settings.keep_days * 86'400), draws_(std::move(draws)) {}

  double bits(Seconds from, Seconds to) const override {
    double sum = 0;
    // Keys come up to delay_s after the span of their passes, and a pass may end a little after it.
    for (auto n = number_of(from - link_.delay_s - 3600); n <= number_of(to); ++n) {
      for (const PairedKeys& keys : schedule(n)->paired) {
        if (keys.at > from && keys.at <= to) sum += keys.bits;
      }
    }
    return sum;
  }

  std::optional<double> usual_rate_bps() const override { return std::nullopt; }

  DeviceReport report(Seconds at) const override {
    DeviceReport report{std::nullopt, 0.0, ""};
    for (const Pass& pass : schedule(number_of(at))->passes) {
      if (at < pass.sighting.rise || at >= pass.sighting.set) continue;
      if (pass.night && !pass.clear) {
        report.alarm =
            fmt::format("clouds over the {} station: this pass makes no key", pass.station == 0 ? "first" : "second");
      }
      if (at < pass.served_from || at >= pass.served_to) continue;
      const Look look = look_at(link_.orbit, link_.stations[pass.station].place, at);
      const double usable = pass.secret_bits > 0 ? link_.system.secret_part : 0;
      return {link_.system.qber, sifted_bps(link_.system, look.elevation_deg) * usable, ""};
    }
    return report;
  }

 private:
  std::int64_t number_of(Seconds at) const { return static_cast<std::int64_t>(std::floor(at / span_)); }

  // A week takes some milliseconds. As many are kept as one call of bits() asks for at the longest delay_s.
  std::shared_ptr<const Schedule> schedule(std::int64_t number) const {
    constexpr std::size_t kKept = 12;
    const std::lock_guard lock(mutex_);
    auto& kept = kept_[number];
    if (kept == nullptr) {
      const Seconds begin = static_cast<double>(number) * span_;
      kept = std::make_shared<const Schedule>(schedule_of(link_, draws_, begin, begin + span_));
    }
    const auto found = kept;
    while (kept_.size() > kKept) kept_.erase(kept_.begin()->first == number ? std::prev(kept_.end()) : kept_.begin());
    return found;
  }

  const SatelliteLink link_;
  const Seconds span_;
  const SharedDraws draws_;
  mutable std::mutex mutex_;
  mutable std::map<std::int64_t, std::shared_ptr<const Schedule>> kept_;
};

}  // namespace

std::unique_ptr<LinkModel> make_model(const ModelSettings& settings, SharedDraws draws) {
  if (settings.model == "fibre") return std::make_unique<FibreModel>(settings.fibre, std::move(draws));
  if (settings.model == "satellite")
    return std::make_unique<SatelliteModel>(settings.satellite, settings.epoch_s, std::move(draws));
  return nullptr;
}

}  // namespace qkms::drivers
