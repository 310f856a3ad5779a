// Clauses 5.2 and 6.1: Get status and the Status object.
#include <fmt/format.h>

#include "cli/conformance/expect.h"

namespace qkms::cli::conformance {

namespace {

const api::JsonValue* member(Run& run, std::string_view name) {
  const auto* status = run.status_object();
  return status == nullptr ? nullptr : api::find_member(*status, name);
}

const std::string* text(Run& run, std::string_view name) {
  const auto* value = member(run, name);
  return value == nullptr ? nullptr : value->get<std::string>();
}

std::optional<std::int64_t> number(Run& run, std::string_view name) {
  const auto* value = member(run, name);
  const auto* integer = value == nullptr ? nullptr : value->get<std::int64_t>();
  return integer == nullptr ? std::nullopt : std::optional(*integer);
}

constexpr std::string_view kNoStatus = "Get status gave no Status object";

// --- 5.2

Verdict answers_get(Run& run) { return expect_status(run.status_reply(), 200); }

Verdict has_json_type(Run& run) {
  const Reply& reply = run.status_reply();
  const auto type = reply.http.header("Content-Type");
  return is_json_type(type) ? pass() : failed(fmt::format("Content-Type is \"{}\"", type));
}

Verdict is_json_object(Run& run) {
  const Reply& reply = run.status_reply();
  if (!reply.json) return failed(reply.json.error().text);
  return reply.json->get<api::JsonObject>() != nullptr ? pass() : failed("the body is no JSON object");
}

Verdict refuses_an_unknown_slave(Run& run) {
  return expect_status(run.status(Who::kMaster, "qkms-conformance-nobody"), 400);
}
Verdict refuses_the_caller_itself(Run& run) {
  return expect_status(run.status(Who::kMaster, run.id_of(Who::kMaster)), 400);
}
Verdict refuses_post(Run& run) {
  const Reply reply =
      run.ask(Who::kMaster, {"POST", run.path_of(run.id_of(Who::kSlave), "status"), "{}"}, Carries::kNoKeys);
  return expect_status(reply, 405);
}

// --- 6.1: the members

template <const char* kName>
Verdict has_text(Run& run) {
  if (run.status_object() == nullptr) return skipped(std::string(kNoStatus));
  const auto* value = text(run, kName);
  return value != nullptr && !value->empty() ? pass() : failed(fmt::format("{} is no string, or empty", kName));
}

template <const char* kName>
Verdict has_count(Run& run) {
  if (run.status_object() == nullptr) return skipped(std::string(kNoStatus));
  const auto value = number(run, kName);
  return value && *value >= 0 ? pass() : failed(fmt::format("{} is no integer of at least 0", kName));
}

constexpr char kSourceKme[] = "source_KME_ID", kTargetKme[] = "target_KME_ID", kMaster[] = "master_SAE_ID",
               kSlave[] = "slave_SAE_ID", kKeySize[] = "key_size", kStored[] = "stored_key_count",
               kMaxCount[] = "max_key_count", kPerRequest[] = "max_key_per_request", kMaxSize[] = "max_key_size",
               kMinSize[] = "min_key_size", kMaxIds[] = "max_SAE_ID_count";

Verdict extension_is_an_object(Run& run) {
  const auto* value = member(run, "status_extension");
  return value == nullptr || value->get<api::JsonObject>() != nullptr ? pass()
                                                                      : failed("status_extension is no object");
}

// --- 6.1: what the members mean

Verdict equals_id(Run& run, std::string_view name, const std::string& expected) {
  const auto* value = text(run, name);
  if (value == nullptr) return skipped(fmt::format("{} is no string", name));
  if (*value == expected) return pass();
  return failed(fmt::format("{} is \"{}\", not \"{}\"", name, *value, expected));
}
Verdict master_is_the_caller(Run& run) { return equals_id(run, kMaster, run.id_of(Who::kMaster)); }
Verdict slave_is_of_the_path(Run& run) { return equals_id(run, kSlave, run.id_of(Who::kSlave)); }

Verdict in_order(Run& run, std::string_view low, std::string_view high) {
  const auto a = number(run, low), b = number(run, high);
  if (!a || !b) return skipped(fmt::format("{} or {} is no integer", low, high));
  return *a <= *b ? pass() : failed(fmt::format("{} is {}, {} is {}", low, *a, high, *b));
}
Verdict default_is_not_below_min(Run& run) { return in_order(run, kMinSize, kKeySize); }
Verdict default_is_not_above_max(Run& run) { return in_order(run, kKeySize, kMaxSize); }
Verdict stored_is_not_above_max(Run& run) { return in_order(run, kStored, kMaxCount); }

Verdict gives_one_key_at_least(Run& run) {
  const auto value = number(run, kPerRequest);
  if (!value) return skipped("max_key_per_request is no integer");
  return *value >= 1 ? pass() : failed(fmt::format("max_key_per_request is {}", *value));
}

Verdict default_size_is_in_bytes(Run& run) {
  const auto value = number(run, kKeySize);
  if (!value) return skipped("key_size is no integer");
  return *value > 0 && *value % 8 == 0 ? pass() : failed(fmt::format("key_size is {}", *value));
}

Verdict fits_32_bits(Run& run) {
  for (const char* name : {kKeySize, kStored, kMaxCount, kPerRequest, kMaxSize, kMinSize, kMaxIds}) {
    if (number(run, name).value_or(0) > 2'147'483'647) return failed(fmt::format("{} is larger", name));
  }
  return pass();
}

constexpr Check kChecks[] = {
    {"014-5.2-get", Level::kShall, "Get status is GET on /api/v1/keys/{slave_SAE_ID}/status and answers 200.",
     answers_get},
    {"014-5.2-content-type", Level::kShall, "The answer to Get status is application/json.", has_json_type},
    {"014-5.2-json", Level::kShall, "The answer to Get status is a JSON object in UTF-8.", is_json_object},
    {"014-5.2-unknown-slave", Level::kDecision, "Get status for a slave that nobody knows is answered 400.",
     refuses_an_unknown_slave},
    {"014-5.2-own-id", Level::kDecision, "Get status for the caller itself is answered 400.",
     refuses_the_caller_itself},
    {"014-5.2-post", Level::kDecision, "POST to Get status is answered 405.", refuses_post},
    {"014-6.1-source-kme-id", Level::kShall, "Status has source_KME_ID, a string.", has_text<kSourceKme>},
    {"014-6.1-target-kme-id", Level::kShall, "Status has target_KME_ID, a string.", has_text<kTargetKme>},
    {"014-6.1-master-sae-id", Level::kShall, "Status has master_SAE_ID, a string.", has_text<kMaster>},
    {"014-6.1-slave-sae-id", Level::kShall, "Status has slave_SAE_ID, a string.", has_text<kSlave>},
    {"014-6.1-key-size", Level::kShall, "Status has key_size, an integer.", has_count<kKeySize>},
    {"014-6.1-stored-key-count", Level::kShall, "Status has stored_key_count, an integer.", has_count<kStored>},
    {"014-6.1-max-key-count", Level::kShall, "Status has max_key_count, an integer.", has_count<kMaxCount>},
    {"014-6.1-max-key-per-request", Level::kShall, "Status has max_key_per_request, an integer.",
     has_count<kPerRequest>},
    {"014-6.1-max-key-size", Level::kShall, "Status has max_key_size, an integer.", has_count<kMaxSize>},
    {"014-6.1-min-key-size", Level::kShall, "Status has min_key_size, an integer.", has_count<kMinSize>},
    {"014-6.1-max-sae-id-count", Level::kShall, "Status has max_SAE_ID_count, an integer.", has_count<kMaxIds>},
    {"014-6.1-status-extension", Level::kShall, "status_extension, where there is one, is an object.",
     extension_is_an_object},
    {"014-6.1-master-is-caller", Level::kShall, "master_SAE_ID is the SAE ID of the caller.", master_is_the_caller},
    {"014-6.1-slave-is-path", Level::kShall, "slave_SAE_ID is the SAE ID of the path.", slave_is_of_the_path},
    {"014-6.1-min-size-below-default", Level::kShall, "key_size is not below min_key_size.", default_is_not_below_min},
    {"014-6.1-max-size-above-default", Level::kShall, "key_size is not above max_key_size.", default_is_not_above_max},
    {"014-6.1-stored-below-max", Level::kShall, "stored_key_count is not above max_key_count.",
     stored_is_not_above_max},
    {"014-6.1-one-key-per-request", Level::kShall, "max_key_per_request is at least 1.", gives_one_key_at_least},
    {"014-6.1-key-size-in-bytes", Level::kShould, "key_size is a multiple of 8, as a request's size has to be.",
     default_size_is_in_bytes},
    {"014-6.1-32-bits", Level::kDecision, "The integers of Status fit a signed integer of 32 bits.", fits_32_bits},
};

}  // namespace

std::span<const Check> status_checks() { return kChecks; }

}  // namespace qkms::cli::conformance
