// Virtual time: actions in the order of their times, those of one time in the order in which they were asked for.
#pragma once

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "base/time.h"

namespace qkms::sim {

class Scheduler {
 public:
  using Action = std::move_only_function<void()>;

  Millis now() const { return now_; }
  void after(Millis delay, Action action) { at(now_ + delay, std::move(action)); }
  void at(Millis time, Action action) {
    entries_.push_back({std::max(time, now_), next_order_++, std::move(action)});
    std::ranges::push_heap(entries_, later);
  }

  // Runs everything due up to this time, which is then the present.
  void run_until(Millis time) {
    while (!entries_.empty() && entries_.front().time <= time) {
      std::ranges::pop_heap(entries_, later);
      Entry entry = std::move(entries_.back());
      entries_.pop_back();
      now_ = entry.time;
      entry.action();
    }
    now_ = time;
  }

 private:
  struct Entry {
    Millis time;
    std::uint64_t order;
    Action action;
  };
  static bool later(const Entry& a, const Entry& b) { return std::pair(a.time, a.order) > std::pair(b.time, b.order); }

  Millis now_ = 0;
  std::uint64_t next_order_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace qkms::sim
