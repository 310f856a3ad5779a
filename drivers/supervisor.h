// Runs a driver, which may block, fail, flood or lie, so that nothing of that reaches the engine: it is started again
// with back-off, its blocks are tested (health.h) and metered, and what is wrong is visible (link_watch.h).
//
// Operation: start() once, stop() once. Concurrency: a thread for the driver; status(), probe(), hear(),
// fill() and mismatched() from any thread. Limits: one block at a time is on its way from a driver to the engine:
// offer() waits. What would surprise: a driver that does not stop within kStopMs is left behind on its thread, cut off
// from everything, until the process ends: the alternative would be a daemon that does not stop.
#pragma once

#include <memory>
#include <thread>

#include "drivers/driver.h"
#include "drivers/link_watch.h"

namespace qkms::drivers {

struct SupervisorSettings {
  LinkId link;
  std::uint64_t max_rate_bps = 1'000'000'000;  // a block counts for at least 1 KiB
  Millis silence_ms = 60'000;                  // 0: silence is no alarm
  Millis first_pause_ms = 1000;                // before a driver that failed is started again; doubles
  Millis longest_pause_ms = 60'000;
};

class LinkSupervisor {
 public:
  static constexpr Millis kStopMs = 2000;

  // `sink` must live until stop() has returned.
  LinkSupervisor(SupervisorSettings settings, std::unique_ptr<Driver> driver, BlockSink& sink);
  ~LinkSupervisor();

  void start();
  void stop();

  LinkStatus status() const;
  // As Driver::probe(); takes as long as the device does.
  Result<std::string> probe();
  // While it is full, blocks wait; for how long is no alarm, since it is good news.
  void fill(bool full);
  // As Driver::hear().
  void hear(std::string note);
  // The engine found that the two ends' blocks differ.
  void mismatched();

 private:
  class Shared;
  std::shared_ptr<Shared> shared_;  // with the thread, which may outlive this
  std::thread thread_;
};

}  // namespace qkms::drivers
