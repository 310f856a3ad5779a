// Clause 5.4: a key goes to the slaves that its master named, and to nobody else.
#include "cli/conformance/expect.h"

namespace qkms::cli::conformance {

namespace {

constexpr std::string_view kNoSecond = "no second slave was given";

// What an SAE that was not named is told when it asks for a key.
Verdict ask_unnamed(Run& run, Verdict (*judge)(Run&, const Reply& given, const Reply& denied)) {
  if (!run.has_second_slave()) return skipped(std::string(kNoSecond));
  const Reply given = run.get_keys(1);
  if (auto none = no_keys(given, 1)) return *none;
  return judge(run, given, run.fetch(Who::kSecondSlave, given.key_ids()));
}

Verdict is_401(Run&, const Reply&, const Reply& denied) { return expect_status(denied, 401); }
Verdict has_no_body(Run&, const Reply&, const Reply& denied) {
  if (denied.status() != 401) return skipped("it was not answered 401");
  return denied.body_bytes == 0 ? pass() : failed(denied.summary());
}
Verdict takes_nothing(Run& run, const Reply& given, const Reply& denied) {
  if (denied.status() == 200) return skipped("it was served");
  return expect_same_keys(run.fetch(Who::kSlave, given.key_ids()), given.got());
}

Verdict refuses_the_unnamed(Run& run) { return ask_unnamed(run, is_401); }
Verdict refuses_without_a_body(Run& run) { return ask_unnamed(run, has_no_body); }
Verdict refusal_takes_nothing(Run& run) { return ask_unnamed(run, takes_nothing); }

Verdict refuses_the_unnamed_by_get(Run& run) {
  if (!run.has_second_slave()) return skipped(std::string(kNoSecond));
  const Reply given = run.get_keys(1);
  if (auto none = no_keys(given, 1)) return *none;
  return expect_status(run.dec_keys_get(Who::kSecondSlave, "?key_ID=" + given.key_ids()[0]), 401);
}

Verdict refuses_another_master(Run& run) {
  if (!run.has_second_slave()) return skipped(std::string(kNoSecond));
  const Reply given = run.get_keys(1);
  if (auto none = no_keys(given, 1)) return *none;
  const Request request{"POST", run.path_of(run.id_of(Who::kSecondSlave), "dec_keys"), key_ids_body(given.key_ids())};
  return expect_refused(run.ask(Who::kSlave, request, Carries::kKeys));
}

Verdict refuses_the_master(Run& run) {
  const Reply given = run.get_keys(1);
  if (auto none = no_keys(given, 1)) return *none;
  return expect_refused(run.fetch(Who::kMaster, given.key_ids()));
}

constexpr Check kChecks[] = {
    {"014-5.4-unnamed", Level::kShall, "An SAE that was not named as slave is answered 401 (POST).",
     refuses_the_unnamed},
    {"014-5.4-unnamed-get", Level::kShall, "An SAE that was not named as slave is answered 401 (GET).",
     refuses_the_unnamed_by_get},
    {"014-5.4-unnamed-no-body", Level::kShall, "Then the answer has no body.", refuses_without_a_body},
    {"014-5.4-unnamed-takes-nothing", Level::kDecision, "Then the slave can still fetch the key.",
     refusal_takes_nothing},
    {"014-5.4-another-master", Level::kDecision, "A key under the name of another master is refused.",
     refuses_another_master},
    {"014-5.4-by-the-master", Level::kDecision, "The master cannot fetch its own key by its key ID.",
     refuses_the_master},
};

}  // namespace

std::span<const Check> entitlement_checks() { return kChecks; }

}  // namespace qkms::cli::conformance
