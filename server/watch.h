// Looks once a second at what no event tells: was the wall clock set, is it behind its floor, is memory with key bits
// not locked. The log hears of changes, not of states.
//
// Operation: start() once; it ends with this object. Concurrency: a thread of its own; clock_steps() from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <thread>

#include "server/clock_keeper.h"

namespace qkms::server {

class Watch {
 public:
  explicit Watch(const std::filesystem::path& state_dir) : keeper_(ClockKeeper::file_in(state_dir)) {}

  // Raises the floor of the wall clock to what is known from earlier, and begins to look.
  Result<void> start();
  void stop();

  std::uint64_t clock_steps() const { return clock_steps_; }

 private:
  void run(const std::stop_token& stopping);
  void look_at_clock();
  void look_at_memory();

  ClockKeeper keeper_;
  std::atomic<std::uint64_t> clock_steps_ = 0;
  bool clock_wrong_ = false;
  bool unlocked_ = false;
  std::jthread thread_;
};

}  // namespace qkms::server
