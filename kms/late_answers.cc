#include "kms/late_answers.h"

#include <algorithm>
#include <utility>

namespace qkms::kms {

void LateAnswers::forget(Misses& misses, Millis now) const {
  const auto forgotten = static_cast<std::uint64_t>(std::max<Millis>(0, now - misses.counted_at) / kForgetMs);
  misses.count -= std::min(misses.count, forgotten);
  misses.counted_at += static_cast<Millis>(forgotten) * kForgetMs;
}

void LateAnswers::miss(const SaeId& sae, RequestToken token, Error error, Millis now) {
  Misses& misses = misses_.try_emplace(sae, Misses{0, now}).first->second;
  forget(misses, now);
  const std::uint64_t beyond = misses.count < kFree ? 0 : misses.count - kFree + 1;
  const Millis delay = std::min(kMostMs, static_cast<Millis>(std::min<std::uint64_t>(beyond, kMostMs)) * kStepMs);
  ++misses.count;
  waiting_.emplace(now + delay, Answer{token, std::move(error)});
}

std::vector<LateAnswers::Answer> LateAnswers::due(Millis now) {
  std::vector<Answer> answers;
  const auto end = waiting_.upper_bound(now);
  for (auto at = waiting_.begin(); at != end; ++at) answers.push_back(std::move(at->second));
  waiting_.erase(waiting_.begin(), end);
  return answers;
}

std::vector<RequestToken> LateAnswers::tokens() const {
  std::vector<RequestToken> tokens;
  for (const auto& [due, answer] : waiting_) tokens.push_back(answer.token);
  return tokens;
}

}  // namespace qkms::kms
