#include "sim/checker.h"

namespace qkms::sim {

std::string_view name_of(Rule rule) {
  switch (rule) {
    case Rule::kOnce:
      return "once";
    case Rule::kSame:
      return "same";
    case Rule::kEntitled:
      return "entitled";
    case Rule::kDurable:
      return "durable";
    case Rule::kThere:
      return "there";
    case Rule::kAccounted:
      return "accounted";
    case Rule::kSteady:
      return "steady";
    case Rule::kAgreed:
      return "agreed";
    case Rule::kLimited:
      return "limited";
    case Rule::kReserved:
      return "reserved";
    case Rule::kMet:
      return "met";
    case Rule::kLive:
      return "live";
  }
  return "unknown";
}

std::vector<Violation> check(const History& history) {
  std::vector<Violation> violations;
  check_material(history, violations);
  check_calls(history, violations);
  check_limits(history, violations);
  check_accounts(history, violations);
  return violations;
}

}  // namespace qkms::sim
