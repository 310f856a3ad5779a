// Looks once a second at what no event tells: was the wall clock set, is it behind its floor, is memory with key bits
// not locked, which links have an alarm. The log hears of changes, not of states.
//
// Operation: raise_floor() once, start() once; it ends with this object. Concurrency: a thread of its own, on which
// `links` is called; clock_steps() from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include "server/clock_keeper.h"
#include "server/link_alarm_log.h"

namespace qkms::server {

class Watch {
 public:
  explicit Watch(const std::filesystem::path& state_dir) : keeper_(ClockKeeper::file_in(state_dir)) {}

  using LinksLook = std::function<std::vector<drivers::LinkStatus>()>;

  // Raises the floor of the wall clock to what is known from earlier. Certificates are judged after it.
  Result<void> raise_floor();
  void start(LinksLook links);
  void stop();

  std::uint64_t clock_steps() const { return clock_steps_; }

 private:
  void run(const std::stop_token& stopping);
  void look_at_clock();
  void look_at_memory();
  void look_at_links();

  ClockKeeper keeper_;
  std::atomic<std::uint64_t> clock_steps_ = 0;
  bool clock_wrong_ = false;
  bool unlocked_ = false;
  LinksLook links_;
  LinkAlarmLog link_alarms_;
  std::jthread thread_;
};

}  // namespace qkms::server
