#include "certs/wall_clock.h"

#include <time.h>

#include <algorithm>
#include <atomic>

namespace qkms::certs {
namespace {

std::int64_t seconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return time.tv_sec;
}

// The floor is this much above CLOCK_BOOTTIME.
std::atomic<std::int64_t>& above_boot_time() {
  static std::atomic<std::int64_t> seconds = QKMS_BUILD_DAY_UNIX_S - seconds_of(CLOCK_BOOTTIME);
  return seconds;
}

std::int64_t floor_now() { return above_boot_time() + seconds_of(CLOCK_BOOTTIME); }

}  // namespace

std::int64_t judged_time() { return std::max(seconds_of(CLOCK_REALTIME), floor_now()); }

void raise_floor(std::int64_t unix_s) {
  const std::int64_t wanted = unix_s - seconds_of(CLOCK_BOOTTIME);
  std::int64_t present = above_boot_time();
  while (present < wanted && !above_boot_time().compare_exchange_weak(present, wanted)) {
  }
}

std::int64_t seconds_behind_floor() { return std::max<std::int64_t>(0, floor_now() - seconds_of(CLOCK_REALTIME)); }

}  // namespace qkms::certs
