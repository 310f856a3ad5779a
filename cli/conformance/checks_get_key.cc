// Clause 5.3: Get key, its forms and what each of them gives.
#include <fmt/format.h>

#include "cli/conformance/expect.h"

namespace qkms::cli::conformance {

namespace {

constexpr std::string_view kOneSize = "the KME has one key size";
constexpr std::string_view kOneKey = "max_key_per_request is 1";

Verdict get_gives_the_defaults(Run& run) { return expect_keys(run.good_get(""), 1, run.limits().key_size); }
Verdict post_gives_the_defaults(Run& run) { return expect_keys(run.good_post("{}"), 1, run.limits().key_size); }

Verdict get_with_number(Run& run) {
  if (!run.may_ask_for(2)) return skipped(std::string(kOneKey));
  return expect_keys(run.good_get("?number=2"), 2, run.limits().key_size);
}
Verdict post_with_number(Run& run) {
  if (!run.may_ask_for(2)) return skipped(std::string(kOneKey));
  return expect_keys(run.good_post(R"({"number":2})"), 2, run.limits().key_size);
}

Verdict get_with_size(Run& run) {
  const auto size = run.other_size();
  if (!size) return skipped(std::string(kOneSize));
  return expect_keys(run.good_get(fmt::format("?size={}", *size)), 1, *size);
}
Verdict post_with_size(Run& run) {
  const auto size = run.other_size();
  if (!size) return skipped(std::string(kOneSize));
  return expect_keys(run.good_post(fmt::format(R"({{"size":{}}})", *size)), 1, *size);
}

Verdict get_with_both(Run& run) {
  const auto size = run.other_size();
  if (!size || !run.may_ask_for(2)) return skipped(std::string(size ? kOneKey : kOneSize));
  return first_of({expect_keys(run.good_get(fmt::format("?number=2&size={}", *size)), 2, *size),
                   expect_keys(run.good_get(fmt::format("?size={}&number=2", *size)), 2, *size)});
}
Verdict post_with_both(Run& run) {
  const auto size = run.other_size();
  if (!size || !run.may_ask_for(2)) return skipped(std::string(size ? kOneKey : kOneSize));
  return expect_keys(run.good_post(fmt::format(R"({{"number":2,"size":{}}})", *size)), 2, *size);
}

Verdict has_json_type(Run& run) {
  const Reply reply = run.get_keys(1);
  if (reply.status() != 200) return skipped("Get key gave no keys: " + reply.summary());
  const auto type = reply.http.header("Content-Type");
  return is_json_type(type) ? pass() : failed(fmt::format("Content-Type is \"{}\"", type));
}

// --- bad requests

Verdict refuses_broken_json(Run& run) { return expect_status(run.enc_keys_post(R"({"number":1)"), 400); }
Verdict refuses_an_array(Run& run) { return expect_status(run.enc_keys_post("[]"), 400); }

Verdict refuses_an_unknown_slave(Run& run) {
  const Request request{"POST", run.path_of("qkms-conformance-nobody", "enc_keys"), "{}"};
  return expect_status(run.ask(Who::kMaster, request, Carries::kKeys), 400);
}
Verdict refuses_the_caller_itself(Run& run) {
  const Request request{"POST", run.path_of(run.id_of(Who::kMaster), "enc_keys"), "{}"};
  return expect_status(run.ask(Who::kMaster, request, Carries::kKeys), 400);
}

Verdict takes_an_empty_body(Run& run) { return expect_keys(run.good_post(""), 1, run.limits().key_size); }

Verdict refuses_get_with_additional_slaves(Run& run) {
  return expect_status(run.enc_keys_get("?additional_slave_SAE_IDs=qkms-conformance-nobody"), 400);
}
Verdict refuses_get_with_a_mandatory_extension(Run& run) {
  return expect_status(run.enc_keys_get("?extension_mandatory=qkms_x"), 400);
}
Verdict ignores_unknown_parameters(Run& run) {
  return expect_keys(run.good_get("?qkms_unknown=1"), 1, run.limits().key_size);
}
Verdict refuses_a_repeated_parameter(Run& run) { return expect_status(run.enc_keys_get("?number=1&number=1"), 400); }
Verdict refuses_a_number_that_is_none(Run& run) { return expect_status(run.enc_keys_get("?number=one"), 400); }

constexpr Check kChecks[] = {
    {"014-5.3-get", Level::kShall, "Get key by GET without parameters gives one key of the default size.",
     get_gives_the_defaults},
    {"014-5.3-get-number", Level::kShall, "Get key by GET with number gives so many keys.", get_with_number},
    {"014-5.3-get-size", Level::kShall, "Get key by GET with size gives a key of that size.", get_with_size},
    {"014-5.3-get-number-size", Level::kShall, "Get key by GET takes number and size together, in either order.",
     get_with_both},
    {"014-5.3-post", Level::kShall, "Get key by POST with {} gives one key of the default size.",
     post_gives_the_defaults},
    {"014-5.3-post-number", Level::kShall, "Get key by POST with number gives so many keys.", post_with_number},
    {"014-5.3-post-size", Level::kShall, "Get key by POST with size gives a key of that size.", post_with_size},
    {"014-5.3-post-number-size", Level::kShall, "Get key by POST takes number and size together.", post_with_both},
    {"014-5.3-content-type", Level::kShall, "The answer to Get key is application/json.", has_json_type},
    {"014-5.3-broken-json", Level::kShall, "Get key with a body that is no JSON is answered 400.", refuses_broken_json},
    {"014-5.3-array", Level::kShall, "Get key with a body that is no JSON object is answered 400.", refuses_an_array},
    {"014-5.3-empty-body", Level::kDecision, "Get key by POST without a body is the same as {}.", takes_an_empty_body},
    {"014-5.3-unknown-slave", Level::kDecision, "Get key for a slave that nobody knows is answered 400.",
     refuses_an_unknown_slave},
    {"014-5.3-own-id", Level::kDecision, "Get key for the caller itself is answered 400.", refuses_the_caller_itself},
    {"014-5.3-get-additional-slaves", Level::kDecision,
     "additional_slave_SAE_IDs in a GET is answered 400, not silently left out.", refuses_get_with_additional_slaves},
    {"014-5.3-get-extension-mandatory", Level::kDecision,
     "extension_mandatory in a GET is answered 400, not silently left out.", refuses_get_with_a_mandatory_extension},
    {"014-5.3-get-unknown-parameter", Level::kDecision, "Unknown parameters of a GET are ignored.",
     ignores_unknown_parameters},
    {"014-5.3-get-repeated-parameter", Level::kDecision, "A parameter that is given twice is answered 400.",
     refuses_a_repeated_parameter},
    {"014-5.3-get-number-text", Level::kDecision, "A number that is no decimal integer is answered 400.",
     refuses_a_number_that_is_none},
};

}  // namespace

std::span<const Check> get_key_checks() { return kChecks; }

}  // namespace qkms::cli::conformance
