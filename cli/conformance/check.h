// A check: one statement of ETSI GS QKD 014 V1.1.1 that can be tested from outside, and the function that tests it.
// The tables of checks are in checks_*.cc, one for each subject, and are run in the order of all_checks().
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qkms::cli::conformance {

class Run;

// What the standard calls it. kDecision: the standard is silent, qkms has decided, and another vendor may well do
// otherwise: such a check never fails, it reports what it saw.
enum class Level { kShall, kShould, kDecision };

enum class Outcome { kPass, kFail, kSkipped };

struct Verdict {
  Outcome outcome = Outcome::kPass;
  std::string why;  // of a failure or a skip; of a pass only what is worth saying
};

inline Verdict pass(std::string why = "") { return {Outcome::kPass, std::move(why)}; }
inline Verdict failed(std::string why) { return {Outcome::kFail, std::move(why)}; }
inline Verdict skipped(std::string why) { return {Outcome::kSkipped, std::move(why)}; }

struct Check {
  std::string_view id;  // stable; starts with its clause: 014-6.2-size-multiple-of-8
  Level level;
  std::string_view statement;  // in our own words
  Verdict (*test)(Run&);

  std::string_view clause() const { return id.substr(4, 3); }
};

std::span<const Check> connection_checks();     // clause 5.1
std::span<const Check> http_checks();           // clause 5.1, where the standard leaves HTTP open
std::span<const Check> status_checks();         // clauses 5.2 and 6.1
std::span<const Check> get_key_checks();        // clause 5.3
std::span<const Check> key_request_checks();    // clause 6.2
std::span<const Check> multicast_checks();      // clause 6.2, additional slaves
std::span<const Check> key_container_checks();  // clause 6.3
std::span<const Check> get_by_id_checks();      // clauses 5.4 and 6.4
std::span<const Check> entitlement_checks();    // clause 5.4, who may have a key
std::span<const Check> error_checks();          // clause 6.5, and what the whole run has seen: comes last

std::vector<const Check*> all_checks();

// The words of the reports: "shall", "should", "qkms-decision".
std::string_view name_of(Level level);

}  // namespace qkms::cli::conformance
