// How often a pair may start afresh and burn: a peer that lies, or that has a fault which comes again and again, must
// not make us burn without end. Above the limit its sessions are refused, and what is in the reservoir stays there,
// unused. Concurrency: the engine's thread.
#pragma once

#include <deque>

#include "base/time.h"

namespace qkms::kms {

class FreshStarts {
 public:
  static constexpr std::size_t kMost = 10;
  static constexpr Millis kWindowMs = 3600 * 1000;

  bool may_burn(Millis now) {
    while (!burned_at_.empty() && burned_at_.front() <= now - kWindowMs) burned_at_.pop_front();
    return burned_at_.size() < kMost;
  }
  void burned(Millis now) { burned_at_.push_back(now); }

 private:
  std::deque<Millis> burned_at_;  // in this process's life
};

}  // namespace qkms::kms
