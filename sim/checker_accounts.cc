// Rules "accounted", "steady" and "live": the books at the end, and whether it ended well.
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

void check_mirrored(const Account& a, const Account& b, std::vector<Violation>& violations) {
  const auto same = [&](std::uint64_t at_a, std::uint64_t at_b, std::string_view what) {
    if (at_a == at_b) return;
    violations.push_back(
        {Rule::kAccounted, fmt::format("{}: {} says {} bits, {} says {}", what, a.kme.str(), at_a, b.kme.str(), at_b)});
  };
  same(a.in, b.in, "in");
  same(a.macs, b.macs, "macs");
  same(a.quarantined, b.quarantined, "quarantined");
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
    if (history.all_expired) check_nothing_held(a, violations);
    for (const Account& b : history.accounts) {
      if (a.kme < b.kme && b.kme == a.peer && a.kme == b.peer) check_mirrored(a, b, violations);
    }
  }
}

// No store is ever lost in a run, so once both ends have stored the same beginning there is no reason to start afresh.
void check_pairs(const History& history, std::vector<Violation>& violations) {
  std::set<std::pair<KmeId, KmeId>> agreed;
  for (const PairEvent& event : history.pair_events) {
    const auto pair = std::minmax(event.kme, event.peer);
    if (event.kind == PairEventKind::kAgreed) {
      agreed.insert(pair);
    } else if (agreed.contains(pair)) {
      violations.push_back({Rule::kSteady, fmt::format("{} starts afresh with {} at {} ms", event.kme.str(),
                                                       event.peer.str(), event.time)});
    }
  }
}

void check_end(const History& history, std::vector<Violation>& violations) {
  if (!history.quiet_since) violations.push_back({Rule::kLive, "the KMEs did not settle after the end of all faults"});
  for (const Account& a : history.accounts) {
    if (a.session_up && a.waiting_messages == 0) continue;
    violations.push_back({Rule::kLive, fmt::format("{} is not in step with {}: {} messages wait", a.kme.str(),
                                                   a.peer.str(), a.waiting_messages)});
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
  check_end(history, violations);
}

}  // namespace qkms::sim
