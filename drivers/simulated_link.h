// What a simulated link delivers and when, as a pure function of its settings and the time that it is told: no thread,
// no clock. Surprise: faults are drawn from a generator of this end's own, so that the two ends disagree about them, as
// real devices would.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "base/time.h"
#include "drivers/device_report.h"
#include "drivers/driver.h"
#include "drivers/link_model.h"
#include "drivers/shared_draws.h"
#include "drivers/simulated.h"

namespace qkms::drivers {

// The faultless blocks of a link. Interval n is the wall time from n * burst_ms on. At a rate so low that one interval
// gives less than kMinBlockBytes, only every stride()-th interval has a block; when it gives more than kMaxBlockBytes,
// several. What model "fibre" or "satellite" makes in the stride() intervals before n comes with interval n: less than
// kMinBlockBytes is lost, and so is what exceeds kMaxBurstBytes, as in a device whose buffer is full.
class SimulatedSource {
 public:
  SimulatedSource(LinkId link, const SimulatedSettings& settings);

  // 0: the rate is 0 and there are no blocks at all.
  std::uint64_t stride() const { return stride_; }
  std::vector<Block> blocks_of(std::uint64_t interval) const;
  // What the device would say; its rate is per second of wall time.
  DeviceReport report(Millis now_wall_ms) const;

  static constexpr std::uint64_t kMaxBurstBytes = 64 * kMaxBlockBytes;

 private:
  Block make_block(std::uint64_t interval, std::uint64_t part, std::size_t size) const;
  std::uint64_t bytes_of(std::uint64_t interval) const;
  Seconds model_time(Millis wall_ms) const;

  SharedDraws draws_;
  double rate_bps_, speed_;
  Millis burst_ms_;
  Seconds epoch_;
  std::unique_ptr<LinkModel> model_;  // nothing: constant
  std::uint64_t stride_ = 0;
  std::uint64_t bytes_ = 0;  // per stride, of a constant rate
};

// The blocks of a source after this end's faults, in the order of their delivery.
class SimulatedLink {
 public:
  // The first block is that of the first interval that begins after `now_wall_ms`.
  SimulatedLink(LinkId link, const SimulatedSettings& settings, std::uint64_t fault_seed, Millis now_wall_ms);

  // Everything due at that time. After a jump forwards only the last kMaxCatchUp intervals are made up for; after one
  // backwards nothing comes until time has caught up, since no block is made twice.
  std::vector<Block> take_due(Millis now_wall_ms);
  // When to ask again; nothing if never.
  std::optional<Millis> next_due() const;
  DeviceReport report(Millis now_wall_ms) const { return source_.report(now_wall_ms); }

  static constexpr std::uint64_t kMaxCatchUp = 64;

 private:
  void schedule(Block block, Millis at);
  void schedule_with_faults(Block block, Millis at);
  bool happens(double probability);

  SimulatedSource source_;
  SimulatedFaults faults_;
  Millis burst_ms_;
  std::mt19937_64 random_;
  std::uint64_t next_interval_ = 0;
  std::multimap<Millis, Block> waiting_;
  std::optional<Block> held_back_;  // to be delivered after the block that follows it
};

}  // namespace qkms::drivers
