// Rules "same", "entitled", "durable" and "there": what SAEs were told, held against what they asked for.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "sim/checker.h"

namespace qkms::sim {
namespace {

// A key as its master got it.
struct Key {
  const Call* made = nullptr;
  std::span<const std::uint8_t> bits;
};
using Keys = std::unordered_map<KeyId, Key>;

bool has_slave(const Call& made, const SaeId& sae) {
  return made.other == sae || std::ranges::count(made.additional, sae) > 0;
}

std::span<const std::uint8_t> bits_of(const Call& call, std::size_t index) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < index; ++i) at += call.sizes[i];
  return call.bits.reveal().subspan(at, call.sizes[index]);
}

bool well_formed(const Call& call) {
  std::size_t bytes = 0;
  for (std::uint32_t size : call.sizes) bytes += size;
  return call.ids.size() == call.sizes.size() && bytes == call.bits.size();
}

// One run over the calls: keys are learned from Get key, then each fetch is judged.
class CallChecker {
 public:
  CallChecker(const History& history, std::vector<Violation>& violations)
      : history_(history), violations_(violations) {}

  void run() {
    for (const Call& call : history_.calls) {
      if (call.answer == Answer::kKeys && !well_formed(call)) {
        add(Rule::kSame, "an answer to {} does not hold what it says", call.caller.str());
      } else if (call.kind == CallKind::kGetKey && call.answer == Answer::kKeys) {
        learn(call);
      }
    }
    for (const Call& call : history_.calls) {
      if (call.kind == CallKind::kFetch) note_attempts(call);
    }
    for (const Call& call : history_.calls) {
      if (call.kind != CallKind::kFetch) continue;
      if (call.answer == Answer::kKeys && well_formed(call)) judge_delivery(call);
      if (call.answer == Answer::kNotFound || call.answer == Answer::kDenied || call.answer == Answer::kRetry ||
          call.answer == Answer::kLimited)
        judge_refusal(call);
    }
    for (const Call& call : history_.calls) judge_presence(call);
  }

 private:
  // Calls that fetched a key for an SAE, or may have.
  struct Attempts {
    std::vector<const Call*> calls;
    std::size_t delivered = 0;
  };

  template <class... Args>
  void add(Rule rule, fmt::format_string<Args...> form, Args&&... args) {
    violations_.push_back({rule, fmt::format(form, std::forward<Args>(args)...)});
  }

  void learn(const Call& call) {
    if (call.ids.size() != call.number)
      add(Rule::kSame, "{} asked for {} keys and got {}", call.caller.str(), call.number, call.ids.size());
    std::vector<SaeId> slaves = call.additional;
    slaves.push_back(call.other);
    for (const SaeId& slave : slaves) {
      if (!history_.allowed.contains({call.caller, slave}))
        add(Rule::kEntitled, "{} got a key for {}, which is not allowed", call.caller.str(), slave.str());
    }
    for (std::size_t i = 0; i < call.ids.size(); ++i) {
      if (call.sizes[i] != call.size_bytes)
        add(Rule::kSame, "key {} has another size than {} asked for", to_string(call.ids[i]), call.caller.str());
      if (!keys_.emplace(call.ids[i], Key{&call, bits_of(call, i)}).second)
        add(Rule::kOnce, "key ID {} was given out twice", to_string(call.ids[i]));
    }
  }

  void note_attempts(const Call& call) {
    if (call.answer != Answer::kKeys && call.answer != Answer::kUnknown) return;
    for (const KeyId& id : call.asked) {
      Attempts& attempts = attempts_[call.caller][id];
      attempts.calls.push_back(&call);
      if (call.answer == Answer::kKeys && ++attempts.delivered == 2) {
        add(Rule::kEntitled, "key {} was delivered to {} twice", to_string(id), call.caller.str());
      }
    }
  }

  void judge_delivery(const Call& call) {
    if (call.ids != call.asked) add(Rule::kSame, "{} did not get the keys that it asked for", call.caller.str());
    for (std::size_t i = 0; i < call.ids.size(); ++i) {
      const auto found = keys_.find(call.ids[i]);
      if (found == keys_.end()) {
        add(Rule::kEntitled, "key {} was delivered to {}, and no master ever got it", to_string(call.ids[i]),
            call.caller.str());
        continue;
      }
      const Call& made = *found->second.made;
      if (made.caller != call.other || !has_slave(made, call.caller)) {
        add(Rule::kEntitled, "key {} of master {} was delivered to {}", to_string(call.ids[i]), made.caller.str(),
            call.caller.str());
      } else if (history_.expiry_exact && call.start > made.end + history_.key_life) {
        add(Rule::kEntitled, "key {} was delivered to {} after its expiry", to_string(call.ids[i]), call.caller.str());
      }
      if (!std::ranges::equal(bits_of(call, i), found->second.bits)) {
        add(Rule::kSame, "key {} has other bits at {} than at its master {}", to_string(call.ids[i]), call.caller.str(),
            made.caller.str());
      }
    }
  }

  // A KME serves its SAEs, and deals in keys of other KMEs' SAEs, only while it knows of them.
  bool unknown_to_kme(const Absence& absence, const Call& call) const {
    if (absence.kme != call.kme || absence.kind == AbsenceKind::kLink) return false;
    if (absence.kind == AbsenceKind::kSae) return absence.sae == call.caller || absence.sae == call.other;
    const auto home = history_.homes.find(call.other);
    return home != history_.homes.end() && home->second == absence.peer;
  }

  void judge_presence(const Call& call) {
    if (call.answer != Answer::kKeys && call.answer != Answer::kStatus) return;
    for (const Absence& absence : history_.absences) {
      const bool throughout = absence.from < call.start && call.end < absence.to;
      if (!throughout || !unknown_to_kme(absence, call)) continue;
      add(Rule::kEntitled, "{} served {}, about {}, at {} ms while its policy did not have them", call.kme.str(),
          call.caller.str(), call.other.str(), call.start);
    }
  }

  // The key was promised to this caller, is alive, and nothing else can have taken it away.
  bool due(const KeyId& id, const Call& call) const {
    const auto found = keys_.find(id);
    if (found == keys_.end()) return false;
    const Call& made = *found->second.made;
    if (made.caller != call.other || !has_slave(made, call.caller)) return false;
    if (call.start < made.end || call.end >= made.start + history_.key_life) return false;
    const auto caller = attempts_.find(call.caller);
    if (caller == attempts_.end()) return true;
    const auto attempts = caller->second.find(id);
    if (attempts == caller->second.end()) return true;
    return std::ranges::none_of(attempts->second.calls, [&](const Call* other) { return other->start <= call.end; });
  }

  // The KME that held the key for the caller, or the one that issued it and may withdraw what it does not know to have
  // given out, has forgotten it and burned what it had.
  bool burned_in_a_put_back(const Call& made, const Call& call) const {
    return std::ranges::any_of(history_.put_backs, [&](const PutBack& put_back) {
      const bool held = put_back.kme == call.kme && put_back.time <= call.end &&
                        (!put_back.noticed || made.start <= *put_back.noticed);
      const bool issued = put_back.kme == made.kme && put_back.copied <= made.end && made.start <= put_back.time;
      return held || issued;
    });
  }

  void judge_refusal(const Call& call) {
    if (call.asked.empty() || !std::ranges::all_of(call.asked, [&](const KeyId& id) { return due(id, call); })) return;
    if (std::ranges::any_of(call.asked,
                            [&](const KeyId& id) { return burned_in_a_put_back(*keys_.at(id).made, call); }))
      return;
    const std::string id = to_string(call.asked.front());
    if (call.answer == Answer::kRetry || call.answer == Answer::kLimited) {
      const bool quiet = history_.quiet_since && call.start >= *history_.quiet_since;
      if (quiet) add(Rule::kThere, "{} got no key {} although nothing is wrong any more", call.caller.str(), id);
      return;
    }
    const bool known = std::ranges::none_of(history_.absences, [&](const Absence& absence) {
      return absence.touches(call.start, call.end) && unknown_to_kme(absence, call);
    });
    if (!known) return;
    const Millis since = keys_.at(call.asked.front()).made->end;
    const bool crashed = std::ranges::any_of(history_.crashes, [&](const Crash& crash) {
      return crash.kme == call.kme && crash.time >= since && crash.time <= call.end;
    });
    add(crashed ? Rule::kDurable : Rule::kThere,
        "{} was refused key {} ({} in the request), which was promised to it at {} ms", call.caller.str(), id,
        call.asked.size(), since);
  }

  const History& history_;
  std::vector<Violation>& violations_;
  Keys keys_;
  std::map<SaeId, std::unordered_map<KeyId, Attempts>> attempts_;
};

}  // namespace

void check_calls(const History& history, std::vector<Violation>& violations) { CallChecker(history, violations).run(); }

}  // namespace qkms::sim
