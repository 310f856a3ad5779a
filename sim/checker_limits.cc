// Rules "limited" and "reserved". From outside it is known when a request began and when it was answered, not when the
// KME dealt with it in between: so both rules say only what holds whenever that was.
#include <fmt/format.h>

#include <algorithm>

#include "sim/checker.h"

namespace qkms::sim {
namespace {

constexpr std::uint64_t kBurstMs = 10'000;  // a bucket holds what comes in in this time

// --- limited -------------------------------------------------------------------------------------

// What one request used of one limit.
struct Use {
  Millis start = 0, end = 0;
  std::uint64_t amount = 0;
};

std::string at_its_limit(const std::string& who, std::string_view what, std::uint64_t used, Millis start, Millis end) {
  return fmt::format("{} got {} {} between {} and {} ms, which is more than it may", who, used, what, start, end);
}

// Of the answers in one life of the KME: whatever began and ended within a span was used up within it.
class LimitChecker {
 public:
  LimitChecker(std::string who, std::vector<Violation>& violations) : who_(std::move(who)), violations_(violations) {}

  void check_rate(const std::vector<Use>& uses, std::uint64_t per_s, std::string_view what) {
    if (per_s == 0) return;
    for (const Use& first : uses) {
      std::uint64_t used = 0, largest = 0;
      for (const Use& use : uses) {  // by their ends
        if (use.start < first.start) continue;
        used += use.amount;
        largest = std::max(largest, use.amount);
        const std::uint64_t gained = per_s * (static_cast<std::uint64_t>(use.end - first.start) + kBurstMs);
        if ((used - largest) * 1000 <= gained) continue;
        violations_.push_back({Rule::kLimited, at_its_limit(who_, what, used, first.start, use.end)});
        return;
      }
    }
  }

  void check_quota(const std::vector<Use>& uses, std::uint64_t per_day, std::string_view what) {
    std::uint64_t used = 0;
    for (const Use& use : uses) used += use.amount;
    if (per_day == 0 || used <= per_day) return;
    violations_.push_back({Rule::kLimited, at_its_limit(who_, what, used, uses.front().start, uses.back().end)});
  }

 private:
  std::string who_;
  std::vector<Violation>& violations_;
};

bool got_something(const Call& call) { return call.answer == Answer::kKeys || call.answer == Answer::kStatus; }

template <class Filter>
std::vector<Use> uses_of(const std::vector<const Call*>& calls, Filter&& amount_of) {
  std::vector<Use> uses;
  for (const Call* call : calls) {
    if (const std::uint64_t amount = amount_of(*call); amount > 0) uses.push_back({call->start, call->end, amount});
  }
  return uses;
}

// `slave`: of a pair; a request counts for its first slave only, its keys for all of them.
void check_life(const std::string& who, const Limits& limits, const SaeId* slave, const std::vector<const Call*>& calls,
                std::vector<Violation>& violations) {
  const auto requests = [&](const Call& call) -> std::uint64_t { return slave == nullptr || call.other == *slave; };
  const auto keys = [](const Call& call) -> std::uint64_t {
    return call.kind == CallKind::kGetKey && call.answer == Answer::kKeys ? call.ids.size() : 0;
  };
  const auto bits = [](const Call& call) -> std::uint64_t {
    return call.kind == CallKind::kGetKey && call.answer == Answer::kKeys ? call.bits.size() * 8 : 0;
  };
  LimitChecker checker(who, violations);
  checker.check_rate(uses_of(calls, requests), limits.requests_per_s, "answers");
  checker.check_rate(uses_of(calls, keys), limits.keys_per_s, "keys");
  checker.check_rate(uses_of(calls, bits), limits.bits_per_s, "bits");
  checker.check_quota(uses_of(calls, keys), limits.keys_per_day, "keys");
  checker.check_quota(uses_of(calls, bits), limits.bits_per_day, "bits");
}

// Which life of its KME a call belongs to, if it is one.
std::optional<std::size_t> life_of(const History& history, const Call& call) {
  std::size_t life = 0;
  for (const NewLife& born : history.lives) {
    if (born.kme != call.kme) continue;
    if (call.start <= born.time && born.time <= call.end) return std::nullopt;
    if (born.time < call.start) ++life;
  }
  return life;
}

bool names_slave(const Call& call, const SaeId& slave) {
  return call.other == slave || std::ranges::count(call.additional, slave) > 0;
}

void check_limits_of(const History& history, const Limits& limits, const SaeId& caller, const SaeId* slave,
                     std::vector<Violation>& violations) {
  std::map<std::size_t, std::vector<const Call*>> lives;
  for (const Call& call : history.calls) {
    if (call.caller != caller || !got_something(call)) continue;
    if (slave != nullptr && (call.kind == CallKind::kFetch || !names_slave(call, *slave))) continue;
    if (history.limits_until && call.end >= *history.limits_until) continue;
    if (const auto life = life_of(history, call)) lives[*life].push_back(&call);
  }
  const std::string who = slave == nullptr ? caller.str() : caller.str() + " for " + slave->str();
  for (const auto& [life, calls] : lives) check_life(who, limits, slave, calls, violations);
}

// --- reserved ------------------------------------------------------------------------------------

// A pair whose reservoir once held all floors together may have its own, less what it asked for since, until some of
// the reservoir goes in another way. Floors fill in whole bytes, so several may lack a few.
class ReserveChecker {
 public:
  ReserveChecker(const History& history, std::vector<Violation>& violations)
      : history_(history), violations_(violations) {}

  void check(const std::pair<SaeId, SaeId>& pair, std::uint64_t floor) {
    kme_ = history_.homes.at(pair.first);
    peer_ = history_.homes.at(pair.second);
    std::uint64_t floors = 0, count = 0;
    for (const auto& [other, bytes] : history_.floors) {
      if (history_.homes.at(other.first) == kme_ && history_.homes.at(other.second) == peer_) {
        floors += bytes;
        ++count;
      }
    }
    dust_ = count == 1 ? 0 : kDust;
    std::size_t level = 0;
    full_at_.reset();
    for (std::size_t i = 0; i < history_.calls.size(); ++i) {
      for (; level < history_.levels.size() && history_.levels[level].calls_before <= i; ++level)
        follow(history_.levels[level], floors + dust_);
      const Call& call = history_.calls[i];
      if (full_at_ && call.answer == Answer::kShort && call.caller == pair.first && call.other == pair.second &&
          call.additional.empty())
        judge(call, pair, floor);
    }
  }

 private:
  static constexpr std::uint64_t kDust = 32;

  void follow(const Level& level, std::uint64_t enough) {
    if (level.kme != kme_) return;
    if (!level.own_bytes) {
      full_at_.reset();
    } else if (level.peer == peer_ && *level.own_bytes >= enough) {
      full_at_ = level.time;
    }
  }

  void judge(const Call& refused, const std::pair<SaeId, SaeId>& pair, std::uint64_t floor) {
    const Millis full_at = full_at_.value_or(0);
    const std::uint64_t wanted = std::uint64_t{refused.number} * refused.size_bytes;
    std::uint64_t used = dust_;
    for (const Call& call : history_.calls) {
      if (&call == &refused || call.end < full_at || call.start > refused.end || call.caller != pair.first) continue;
      if (may_have_taken(call) && names_slave(call, pair.second)) used += std::uint64_t{call.number} * call.size_bytes;
    }
    if (used + wanted > floor) return;
    violations_.push_back(
        {Rule::kReserved, fmt::format("{} got no {} bytes for {} at {} ms although {} are kept for it, of which it had "
                                      "at most {} since {} ms",
                                      pair.first.str(), wanted, pair.second.str(), refused.end, floor, used, full_at)});
  }

  static bool may_have_taken(const Call& call) {
    return call.kind == CallKind::kGetKey &&
           (call.answer == Answer::kKeys || call.answer == Answer::kRetry || call.answer == Answer::kUnknown);
  }

  const History& history_;
  std::vector<Violation>& violations_;
  KmeId kme_, peer_;
  std::uint64_t dust_ = 0;
  std::optional<Millis> full_at_;  // when the reservoir last held all floors
};

}  // namespace

void check_limits(const History& history, std::vector<Violation>& violations) {
  for (const auto& [sae, limits] : history.sae_limits) check_limits_of(history, limits, sae, nullptr, violations);
  for (const auto& [pair, limits] : history.pair_limits)
    check_limits_of(history, limits, pair.first, &pair.second, violations);
  ReserveChecker reserves(history, violations);
  for (const auto& [pair, floor] : history.floors) reserves.check(pair, floor);
}

}  // namespace qkms::sim
