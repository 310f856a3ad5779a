// What a simulated link's devices do over model time: a rate, a QBER, alarms. Each model is a pure function of its
// settings, the link's seed and the time; two ends that ask alike get the same answer. Model time is seconds since
// 1970. Concurrency: any thread.
#pragma once

#include <memory>
#include <optional>

#include "drivers/device_report.h"
#include "drivers/model_settings.h"
#include "drivers/shared_draws.h"

namespace qkms::drivers {

class LinkModel {
 public:
  virtual ~LinkModel() = default;
  // Secret bits that become available after `from`, up to `to`.
  virtual double bits(Seconds from, Seconds to) const = 0;
  // Bits a second while nothing disturbs; nothing where there is no such rate.
  virtual std::optional<double> usual_rate_bps() const = 0;
  // The rate in it is per second of model time.
  virtual DeviceReport report(Seconds at) const = 0;
};

// "fibre": drift, drop-outs with re-alignment and an eavesdropper over fibre_instant(). The rate is averaged over a
// span; when the span's mean QBER, over all detections, is above the limit, it has no key. "satellite": schedule_of()
// over spans of keep_days. "constant": nothing. The settings must have no problem (problem_of).
std::unique_ptr<LinkModel> make_model(const ModelSettings& settings, SharedDraws draws);

}  // namespace qkms::drivers
