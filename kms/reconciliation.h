// Whether the keys that were in the store when this process opened it may be handed out: not before every peer has had
// its say about whether that store is an old one (kms/life.h), or did not come for Timing::reconcile_ms.
// Concurrency: the engine's thread.
#pragma once

#include <algorithm>
#include <set>

#include "base/error.h"
#include "kms/planted_bug.h"
#include "kms/policy.h"

namespace qkms::kms {

inline Error not_reconciled() {
  return {ErrorCode::kClosed, "not all peers have said yet whether our store is an old one"};
}

class Reconciliation {
 public:
  explicit Reconciliation(Millis until) : until_(until) {}

  // The peer's Hello told us nothing that we did not know.
  void heard(const KmeId& peer) { heard_.insert(peer); }
  // All that was stored has been burned: there is nothing to wait for.
  void nothing_stored() { done_ = true; }

  bool done(const Policy& policy, Millis now) {
    if (planted(Bug::kHandOutUnasked)) return true;
    done_ = done_ || now >= until_ ||
            std::ranges::all_of(policy.peers, [this](const auto& peer) { return heard_.contains(peer.first); });
    return done_;
  }

 private:
  Millis until_;
  std::set<KmeId> heard_;
  bool done_ = false;
};

}  // namespace qkms::kms
