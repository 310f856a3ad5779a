#include "server/watch.h"

#include <spdlog/spdlog.h>

#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/secret_heap.h"
#include "certs/wall_clock.h"
#include "server/log.h"

namespace qkms::server {
namespace {

constexpr std::chrono::seconds kPeriod{1};

}  // namespace

Result<void> Watch::raise_floor() {
  const auto floor = keeper_.start(ClockKeeper::read_clocks());
  if (!floor) return std::unexpected(floor.error());
  certs::raise_floor(*floor);
  look_at_clock();
  look_at_memory();
  return {};
}

void Watch::start(LinksLook links) {
  links_ = std::move(links);
  thread_ = std::jthread([this](const std::stop_token& stopping) { run(stopping); });
}

void Watch::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Watch::run(const std::stop_token& stopping) {
  std::mutex mutex;
  std::condition_variable_any wake;
  while (!stopping.stop_requested()) {
    {
      std::unique_lock lock(mutex);
      wake.wait_for(lock, stopping, kPeriod, [] { return false; });
    }
    look_at_clock();
    look_at_memory();
    look_at_links();
    write_waiting_log();
  }
}

void Watch::look_at_clock() {
  const auto seen = keeper_.look(ClockKeeper::read_clocks());
  if (seen.set_by_s) {
    ++clock_steps_;
    spdlog::warn("the wall clock was set by {} s; no key expires earlier or later for that", *seen.set_by_s);
  }
  if (seen.reached) certs::raise_floor(*seen.reached);
  if (seen.cannot_write) spdlog::error("the wall clock's floor is not kept: {}", seen.cannot_write->text);
  const auto behind = certs::seconds_behind_floor();
  const bool wrong = behind > ClockKeeper::kStepS;
  if (wrong && !clock_wrong_)
    spdlog::error("the wall clock is {} s behind a time that it had reached: certificates are judged by that time",
                  behind);
  if (!wrong && clock_wrong_) spdlog::warn("the wall clock is believed again");
  clock_wrong_ = wrong;
}

void Watch::look_at_memory() {
  const bool unlocked = SecretHeap::of_process().figures().unlocked_bytes > 0;
  if (unlocked && !unlocked_)
    spdlog::warn(
        "MEMORY WITH KEY BITS IS NOT LOCKED and may be swapped: raise RLIMIT_MEMLOCK (LimitMEMLOCK= of systemd)");
  if (!unlocked && unlocked_) spdlog::info("all memory with key bits is locked again");
  unlocked_ = unlocked;
}

void Watch::look_at_links() {
  for (const auto& [began, text] : link_alarms_.changes(links_()))
    spdlog::log(began ? spdlog::level::warn : spdlog::level::info, "{}", text);
}

}  // namespace qkms::server
