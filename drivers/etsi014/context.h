// What the parts of the driver work with, for one run of it.
#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <set>
#include <string>

#include "drivers/etsi014/device.h"
#include "drivers/etsi014/kept_keys.h"
#include "drivers/etsi014/note.h"
#include "drivers/note_inbox.h"

namespace qkms::drivers::etsi014 {

// Steady.
inline Millis now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

// The key IDs of late: a device, or a twin, that names one again would make us use its bits twice.
class RecentIds {
 public:
  static constexpr std::size_t kWindow = 65'536;

  // False: it was there.
  bool add(const KeyId& id) {
    if (!ids_.insert(id).second) return false;
    order_.push_back(id);
    if (order_.size() > kWindow) {
      ids_.erase(order_.front());
      order_.pop_front();
    }
    return true;
  }

 private:
  std::set<KeyId> ids_;  // ordered, since whoever chooses IDs could make them collide in a hash
  std::deque<KeyId> order_;
};

// Waits that double, up to a longest one.
class Backoff {
 public:
  static constexpr Millis kFirstMs = 50;

  explicit Backoff(Millis longest_ms) : longest_ms_(longest_ms), next_ms_(std::min(kFirstMs, longest_ms)) {}
  void reset() { next_ms_ = std::min(kFirstMs, longest_ms_); }
  Millis next() {
    const Millis now = next_ms_;
    next_ms_ = std::min(2 * next_ms_, longest_ms_);
    return now;
  }

 private:
  const Millis longest_ms_;
  Millis next_ms_;
};

enum class Next { kGoOn, kStop };

struct Context {
  const Etsi014Settings& settings;
  Device& device;
  DriverHost& host;
  Waiter& waiter;
  NoteInbox& inbox;
  RecentIds& seen;
  KeptKeys& kept;

  Next offer(Block block) {
    const Result<void> taken = host.offer(std::move(block));
    return !taken && taken.error().code == ErrorCode::kClosed ? Next::kStop : Next::kGoOn;
  }
  Next sleep(Millis length) { return waiter.sleep(length) == Waiter::Woken::kStop ? Next::kStop : Next::kGoOn; }
};

}  // namespace qkms::drivers::etsi014
