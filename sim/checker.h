// Judges a history by invariants 1 to 6 of the architecture, by what limits, reserves and extensions promise, and by
// two rules without which those would be cheap: pairs never lose their common state, and after all faults keys flow
// again. Knows nothing of the engine.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sim/history.h"

namespace qkms::sim {

enum class Rule {
  kOnce,       // no bit of key material is used twice
  kSame,       // a key ID means the same bits to everyone
  kEntitled,   // keys go to their master and to the named slaves, once each, in time, and to nobody else
  kDurable,    // what a 200 promised survives crashes
  kThere,      // after a 200 every slave can fetch
  kAccounted,  // every bit is in exactly one column, and both ends say the same
  kSteady,     // pairs start afresh only when they meet; no alarm without a cause
  kAgreed,     // no two KMEs find that they know different things
  kLimited,    // nobody gets more than its rates and its quota allow
  kReserved,   // what is kept for a pair is there for it
  kMet,        // keys are as young, and come the way, that the request says they must
  kLive,       // after all faults everything settles, and keys flow
};
std::string_view name_of(Rule rule);

struct Violation {
  Rule rule;
  std::string text;
};

std::vector<Violation> check(const History& history);

// The parts, each for its rules.
void check_material(const History& history, std::vector<Violation>& violations);  // kOnce, kMet
void check_calls(const History& history, std::vector<Violation>& violations);     // kSame, kEntitled, kDurable, kThere
void check_limits(const History& history, std::vector<Violation>& violations);    // kLimited, kReserved
void check_accounts(const History& history, std::vector<Violation>& violations);  // kAccounted, kSteady, kAgreed, kLive

}  // namespace qkms::sim
