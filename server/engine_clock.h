// The engine's time: it goes on from where the store left off and never runs backwards. CLOCK_BOOTTIME also counts
// while the machine is suspended, and no one can set it; so a wrong or jumping wall clock neither expires keys nor
// brings them back.
#pragma once

#include <time.h>

#include <algorithm>

#include "base/time.h"

namespace qkms::server {

class EngineClock {
 public:
  explicit EngineClock(Millis stored_time) : offset_(stored_time - boot_time()) {}
  Millis now() const { return offset_ + boot_time(); }
  // The store was opened, and its last commit was then.
  void go_on_from(Millis stored_time) { offset_ = std::max(offset_, stored_time - boot_time()); }

 private:
  static Millis boot_time() {
    timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);
    return static_cast<Millis>(time.tv_sec) * 1000 + time.tv_nsec / 1'000'000;
  }

  Millis offset_;
};

}  // namespace qkms::server
