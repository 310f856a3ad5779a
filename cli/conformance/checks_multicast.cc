// Clause 6.2: additional slaves. All of it needs a second slave, but for what is refused.
#include <fmt/format.h>

#include "api/json_writer.h"
#include "cli/conformance/expect.h"

namespace qkms::cli::conformance {

namespace {

constexpr std::string_view kNoSecond = "no second slave was given";

std::string with_slaves(const std::vector<std::string>& ids) {
  std::string out = R"({"additional_slave_SAE_IDs":[)";
  for (const auto& id : ids) {
    if (!out.ends_with('[')) out += ',';
    api::append_json_string(out, id);
  }
  return out + "]}";
}

// Why multicast cannot be tried, or nothing.
std::optional<Verdict> no_multicast(Run& run) {
  if (!run.has_second_slave()) return skipped(std::string(kNoSecond));
  if (run.limits().additional.value_or(0) < 1) return skipped("max_SAE_ID_count is 0");
  return std::nullopt;
}

Reply get_for_both(Run& run) { return run.good_post(with_slaves({run.id_of(Who::kSecondSlave)})); }

Verdict serves_additional_slaves(Run& run) {
  if (auto no = no_multicast(run)) return *no;
  return expect_keys(get_for_both(run), 1, run.limits().key_size);
}

Verdict gives_each_the_same_key(Run& run) {
  if (auto no = no_multicast(run)) return *no;
  const Reply given = get_for_both(run);
  if (auto none = no_keys(given, 1)) return *none;
  return first_of({expect_same_keys(run.fetch(Who::kSecondSlave, given.key_ids()), given.got()),
                   expect_same_keys(run.fetch(Who::kSlave, given.key_ids()), given.got())});
}

Verdict gives_each_one_copy(Run& run) {
  if (auto no = no_multicast(run)) return *no;
  const Reply given = get_for_both(run);
  if (auto none = no_keys(given, 1)) return *none;
  const Reply first = run.fetch(Who::kSecondSlave, given.key_ids());
  if (auto none = no_keys(first, 1)) return *none;
  return expect_status(run.fetch(Who::kSecondSlave, given.key_ids()), 400);
}

Verdict takes_an_empty_list(Run& run) { return expect_keys(run.good_post(with_slaves({})), 1, run.limits().key_size); }

Verdict refuses_too_many(Run& run) {
  const auto max = run.limits().additional;
  if (!max || *max > 1000) return skipped("Get status told no max_SAE_ID_count, or a very large one");
  std::vector<std::string> ids;
  for (std::int64_t i = 0; i <= *max; ++i) ids.push_back(fmt::format("qkms-conformance-nobody-{}", i));
  return expect_status(run.enc_keys_post(with_slaves(ids)), 400);
}
Verdict refuses_an_unknown_slave(Run& run) {
  return expect_status(run.enc_keys_post(with_slaves({"qkms-conformance-nobody"})), 400);
}
Verdict refuses_the_slave_itself(Run& run) {
  return expect_status(run.enc_keys_post(with_slaves({run.id_of(Who::kSlave)})), 400);
}
Verdict refuses_the_caller(Run& run) {
  return expect_status(run.enc_keys_post(with_slaves({run.id_of(Who::kMaster)})), 400);
}

constexpr Check kChecks[] = {
    {"014-6.2-additional-slaves", Level::kShall, "Get key with an additional slave gives a key.",
     serves_additional_slaves},
    {"014-6.2-additional-slaves-same-key", Level::kShall,
     "The slave and the additional slave each get the master's key, in either order.", gives_each_the_same_key},
    {"014-6.2-additional-slaves-once", Level::kShall, "The additional slave gets its copy once: a second time is 400.",
     gives_each_one_copy},
    {"014-6.2-additional-slaves-empty", Level::kDecision, "An empty list of additional slaves names none.",
     takes_an_empty_list},
    {"014-6.2-additional-slaves-too-many", Level::kDecision,
     "More additional slaves than max_SAE_ID_count are answered 400.", refuses_too_many},
    {"014-6.2-additional-slaves-unknown", Level::kDecision, "An additional slave that nobody knows is answered 400.",
     refuses_an_unknown_slave},
    {"014-6.2-additional-slaves-slave", Level::kDecision, "The slave of the path as additional slave is answered 400.",
     refuses_the_slave_itself},
    {"014-6.2-additional-slaves-caller", Level::kDecision, "The caller as additional slave is answered 400.",
     refuses_the_caller},
};

}  // namespace

std::span<const Check> multicast_checks() { return kChecks; }

}  // namespace qkms::cli::conformance
