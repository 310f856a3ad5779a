// Refusals of Get key with key IDs, held back: whoever guesses key IDs learns nothing from how fast it is refused, and
// is slowed down.
//
// A refusal leaves at the first tick after its delay, together with all others that are due, whatever work it took to
// find out: an ID that nobody made, one of another SAE, one that is used up. The first kFree misses of an SAE wait for
// the next tick only; each further one waits kStepMs longer than the one before, up to kMostMs; a miss is forgotten
// every kForgetMs. Concurrency: the engine's thread.
#pragma once

#include <map>
#include <vector>

#include "base/error.h"
#include "base/id.h"
#include "kms/types.h"

namespace qkms::kms {

class LateAnswers {
 public:
  static constexpr std::uint64_t kFree = 20;
  static constexpr Millis kStepMs = 50;
  static constexpr Millis kMostMs = 1000;
  static constexpr Millis kForgetMs = 500;

  struct Answer {
    RequestToken token = 0;
    Error error;
  };

  void miss(const SaeId& sae, RequestToken token, Error error, Millis now);
  std::vector<Answer> due(Millis now);

  std::size_t waiting() const { return waiting_.size(); }
  std::vector<RequestToken> tokens() const;

 private:
  struct Misses {
    std::uint64_t count = 0;
    Millis counted_at = 0;
  };
  void forget(Misses& misses, Millis now) const;

  std::map<SaeId, Misses> misses_;
  std::multimap<Millis, Answer> waiting_;  // by when they are due
};

}  // namespace qkms::kms
