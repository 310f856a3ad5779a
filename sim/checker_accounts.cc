// Rules "accounted", "steady", "agreed" and "live": the books at the end, and whether it ended well.
#include <fmt/format.h>

#include <algorithm>

#include "sim/checker.h"

namespace qkms::sim {
namespace {

std::uint64_t sum_of(const Account& a) {
  return a.macs + a.available_own + a.available_peer + a.in_flight + a.held + a.delivered + a.pads + a.burned +
         a.expired + a.quarantined;
}

void check_own(const Account& a, std::vector<Violation>& violations) {
  if (a.in != sum_of(a)) {
    violations.push_back({Rule::kAccounted, fmt::format("{} towards {}: {} bits came in, {} are accounted for",
                                                        a.kme.str(), a.peer.str(), a.in, sum_of(a))});
  }
  if (a.in_flight != 0) {
    violations.push_back({Rule::kAccounted, fmt::format("{} towards {}: {} bits are in flight although nothing moves",
                                                        a.kme.str(), a.peer.str(), a.in_flight)});
  }
}

void check_audit(const Account& a, std::vector<Violation>& violations) {
  if (a.burned_in_audit && *a.burned_in_audit != a.burned) {
    violations.push_back({Rule::kAccounted, fmt::format("{} towards {}: {} bits are burned, the audit log has {}",
                                                        a.kme.str(), a.peer.str(), a.burned, *a.burned_in_audit)});
  }
  if (a.burns_without_reason > 0) {
    violations.push_back({Rule::kAccounted, fmt::format("{} towards {}: {} burns in the audit log have no reason",
                                                        a.kme.str(), a.peer.str(), a.burns_without_reason)});
  }
}

// Whether both ends know all that came in. A store that was put back has forgotten some of it.
enum class Memory { kWhole, kPutBack };

bool was_put_back(const History& history, const KmeId& kme) {
  return std::ranges::count(history.put_backs, kme, &PutBack::kme) > 0;
}

void check_mirrored(const Account& a, const Account& b, Memory memory, std::vector<Violation>& violations) {
  const auto same = [&](std::uint64_t at_a, std::uint64_t at_b, std::string_view what) {
    if (at_a == at_b) return;
    violations.push_back(
        {Rule::kAccounted, fmt::format("{}: {} says {} bits, {} says {}", what, a.kme.str(), at_a, b.kme.str(), at_b)});
  };
  if (memory == Memory::kWhole) {
    same(a.in, b.in, "in");
    same(a.macs, b.macs, "macs");
    same(a.quarantined, b.quarantined, "quarantined");
  }
  same(a.available_own, b.available_peer, "available to the first");
  same(a.available_peer, b.available_own, "available to the second");
}

// Of keys that nobody fetched and nobody may fetch any more.
void check_nothing_held(const Account& a, std::vector<Violation>& violations) {
  if (a.held == 0) return;
  violations.push_back({Rule::kAccounted, fmt::format("{} towards {}: {} bits are held although all keys have expired",
                                                      a.kme.str(), a.peer.str(), a.held)});
}

void check_books(const History& history, std::vector<Violation>& violations) {
  for (const Account& a : history.accounts) {
    check_own(a, violations);
    check_audit(a, violations);
    if (history.all_expired) check_nothing_held(a, violations);
    for (const Account& b : history.accounts) {
      if (a.kme >= b.kme || b.kme != a.peer || a.kme != b.peer) continue;
      const bool forgetful = was_put_back(history, a.kme) || was_put_back(history, b.kme);
      check_mirrored(a, b, forgetful ? Memory::kPutBack : Memory::kWhole, violations);
    }
  }
}

// When each KME last agreed with each peer. That is proof that both have stored the same beginning.
using Agreed = std::map<std::pair<KmeId, KmeId>, Millis>;

// The store of one of the two was put back, and since it knows, it has not agreed with the other. What the other says
// proves nothing: it may go by a Hello from before.
bool for_a_put_back(const History& history, const PairEvent& event, const Agreed& agreed) {
  return std::ranges::any_of(history.put_backs, [&](const PutBack& put_back) {
    if (put_back.time > event.time || (put_back.kme != event.kme && put_back.kme != event.peer)) return false;
    const auto since = agreed.find({put_back.kme, put_back.kme == event.kme ? event.peer : event.kme});
    return !put_back.noticed || since == agreed.end() || since->second <= *put_back.noticed;
  });
}

// No store is ever lost in a run, so once both ends have stored the same beginning there is no reason to start afresh,
// but for a store that was put back.
void check_pairs(const History& history, std::vector<Violation>& violations) {
  Agreed agreed;
  for (const PairEvent& event : history.pair_events) {
    if (event.kind == PairEventKind::kAgreed) {
      agreed.insert_or_assign({event.kme, event.peer}, event.time);
      continue;
    }
    const bool had_agreed = agreed.contains({event.kme, event.peer}) || agreed.contains({event.peer, event.kme});
    if (!had_agreed || for_a_put_back(history, event, agreed)) continue;
    violations.push_back({Rule::kSteady, fmt::format("{} starts afresh with {} at {} ms", event.kme.str(),
                                                     event.peer.str(), event.time)});
  }
}

void check_end(const History& history, std::vector<Violation>& violations) {
  if (!history.quiet_since) violations.push_back({Rule::kLive, "the KMEs did not settle after the end of all faults"});
  for (const Account& a : history.accounts) {
    if (a.session_up && a.waiting_messages == 0) continue;
    violations.push_back({Rule::kLive, fmt::format("{} is not in step with {}: {} messages wait", a.kme.str(),
                                                   a.peer.str(), a.waiting_messages)});
  }
  for (const PutBack& put_back : history.put_backs) {
    if (put_back.noticed) continue;
    violations.push_back({Rule::kLive, fmt::format("{} never finds out that its store was put back at {} ms",
                                                   put_back.kme.str(), put_back.time)});
  }
  for (const Probe& probe : history.probes) {
    if (probe.answer == Answer::kKeys) continue;
    violations.push_back({Rule::kLive, fmt::format("{} gets no keys for {} after the end of all faults",
                                                   probe.master.str(), probe.slave.str())});
  }
}

}  // namespace

void check_accounts(const History& history, std::vector<Violation>& violations) {
  check_books(history, violations);
  check_pairs(history, violations);
  for (const Alarm& alarm : history.alarms) {
    violations.push_back({Rule::kSteady, fmt::format("{} at {} ms: {}", alarm.kme.str(), alarm.time, alarm.text)});
  }
  for (const Alarm& alarm : history.divergences) {
    violations.push_back({Rule::kAgreed, fmt::format("{} at {} ms: {}", alarm.kme.str(), alarm.time, alarm.text)});
  }
  check_end(history, violations);
}

}  // namespace qkms::sim
