// Clause 6.2: the members of a key request. Additional slaves have a file of their own.
#include <fmt/format.h>

#include "api/etsi014/messages.h"
#include "cli/conformance/expect.h"

namespace qkms::cli::conformance {

namespace {

namespace messages = api::etsi014;

constexpr int kMostKeysToAskFor = 128;

std::string with_size(std::int64_t size) { return fmt::format(R"({{"size":{}}})", size); }
std::string with_number(std::int64_t number) { return fmt::format(R"({{"number":{}}})", number); }

// --- size

// A size that is wrong only because it is no multiple of 8.
std::optional<std::int64_t> odd_size(Run& run) {
  const Limits& limits = run.limits();
  if (!limits.key_size || !limits.min_size || !limits.max_size) return std::nullopt;
  if (*limits.key_size + 1 <= *limits.max_size) return *limits.key_size + 1;
  if (*limits.key_size - 1 >= *limits.min_size) return *limits.key_size - 1;
  return std::nullopt;
}
constexpr std::string_view kNoOddSize = "the KME has one key size, so any other may be refused for that";

Verdict refuses_odd_size_by_post(Run& run) {
  const auto size = odd_size(run);
  if (!size) return skipped(std::string(kNoOddSize));
  return expect_status(run.enc_keys_post(with_size(*size)), 400);
}
Verdict refuses_odd_size_by_get(Run& run) {
  const auto size = odd_size(run);
  if (!size) return skipped(std::string(kNoOddSize));
  return expect_status(run.enc_keys_get(fmt::format("?size={}", *size)), 400);
}
Verdict says_multiple_of_8(Run& run) {
  const auto size = odd_size(run);
  if (!size) return skipped(std::string(kNoOddSize));
  const Reply reply = run.enc_keys_post(with_size(*size));
  if (reply.status() != 400) return skipped("it was not answered 400");
  return expect_message(reply, messages::kSizeNotMultipleOf8);
}

Verdict gives_size(Run& run, std::optional<std::int64_t> size) {
  if (!size || *size <= 0) return skipped("Get status told no such size");
  return expect_keys(run.good_post(with_size(*size / 8 * 8)), 1, *size / 8 * 8);
}
Verdict gives_max_size(Run& run) { return gives_size(run, run.limits().max_size); }
Verdict gives_min_size(Run& run) {
  const auto min = run.limits().min_size;
  return gives_size(run, min ? std::optional((*min + 7) / 8 * 8) : min);
}

Verdict refuses_size_above_max(Run& run) {
  const auto max = run.limits().max_size;
  if (!max) return skipped("Get status told no max_key_size");
  return expect_status(run.enc_keys_post(with_size(*max / 8 * 8 + 8)), 400);
}
Verdict refuses_size_below_min(Run& run) {
  const auto min = run.limits().min_size;
  if (!min || *min <= 8) return skipped("min_key_size leaves nothing below");
  return expect_status(run.enc_keys_post(with_size((*min - 1) / 8 * 8)), 400);
}
Verdict refuses_size_0(Run& run) { return expect_status(run.enc_keys_post(with_size(0)), 400); }
Verdict refuses_size_as_text(Run& run) { return expect_status(run.enc_keys_post(R"({"size":"256"})"), 400); }

// --- number

Verdict gives_max_number(Run& run) {
  const Limits& limits = run.limits();
  if (limits.per_request.value_or(0) < 1) return skipped("Get status told no max_key_per_request");
  if (*limits.per_request > kMostKeysToAskFor)
    return skipped(fmt::format("max_key_per_request is {}, too many to take for a test", *limits.per_request));
  if (limits.stored.value_or(0) < *limits.per_request) return skipped("stored_key_count is lower");
  const auto size = limits.min_size ? std::optional((*limits.min_size + 7) / 8 * 8) : limits.key_size;
  const std::string body = fmt::format(R"({{"number":{},"size":{}}})", *limits.per_request, size.value_or(256));
  return expect_keys(run.good_post(body), *limits.per_request, size);
}
Verdict refuses_number_above_max(Run& run) {
  const auto max = run.limits().per_request;
  if (!max) return skipped("Get status told no max_key_per_request");
  return expect_status(run.enc_keys_post(with_number(*max + 1)), 400);
}
Verdict refuses_number_0(Run& run) { return expect_status(run.enc_keys_post(with_number(0)), 400); }
Verdict refuses_negative_number(Run& run) { return expect_status(run.enc_keys_post(with_number(-1)), 400); }
Verdict refuses_fraction(Run& run) { return expect_status(run.enc_keys_post(R"({"number":1.5})"), 400); }
Verdict refuses_number_as_text(Run& run) { return expect_status(run.enc_keys_post(R"({"number":"1"})"), 400); }

// --- extensions

constexpr std::string_view kMandatory = R"({"extension_mandatory":[{"qkmsconformance_unknown":true}]})";

Verdict refuses_unknown_mandatory(Run& run) { return expect_status(run.enc_keys_post(kMandatory), 400); }
Verdict says_not_supported(Run& run) {
  const Reply reply = run.enc_keys_post(kMandatory);
  if (reply.status() != 400) return skipped("it was not answered 400");
  return expect_message(reply, messages::kExtensionUnsupported);
}
Verdict serves_unknown_optional(Run& run) {
  return expect_keys(run.good_post(R"({"extension_optional":[{"qkmsconformance_unknown":true}]})"), 1,
                     run.limits().key_size);
}
Verdict serves_empty_extensions(Run& run) {
  return expect_keys(run.good_post(R"({"extension_mandatory":[],"extension_optional":[]})"), 1, run.limits().key_size);
}
Verdict refuses_extensions_as_an_object(Run& run) {
  return expect_status(run.enc_keys_post(R"({"extension_mandatory":{"qkmsconformance_unknown":true}})"), 400);
}

// --- members

Verdict ignores_unknown_members(Run& run) {
  return expect_keys(run.good_post(R"({"qkmsconformance_unknown":{"a":[1]}})"), 1, run.limits().key_size);
}
Verdict takes_null_as_absent(Run& run) {
  return expect_keys(run.good_post(R"({"number":null,"size":null})"), 1, run.limits().key_size);
}
Verdict refuses_a_repeated_member(Run& run) {
  return expect_status(run.enc_keys_post(R"({"number":1,"number":1})"), 400);
}

constexpr Check kChecks[] = {
    {"014-6.2-size-multiple-of-8", Level::kShall, "A size that is no multiple of 8 is answered 400 (POST).",
     refuses_odd_size_by_post},
    {"014-6.2-size-multiple-of-8-get", Level::kShall, "A size that is no multiple of 8 is answered 400 (GET).",
     refuses_odd_size_by_get},
    {"014-6.2-size-multiple-of-8-message", Level::kShall,
     "Then the message is \"size shall be a multiple of 8\", to the letter.", says_multiple_of_8},
    {"014-6.2-max-size", Level::kShall, "A key of max_key_size is given.", gives_max_size},
    {"014-6.2-min-size", Level::kShall, "A key of min_key_size is given.", gives_min_size},
    {"014-6.2-max-number", Level::kShall, "max_key_per_request keys are given in one request.", gives_max_number},
    {"014-6.2-mandatory-unknown", Level::kShall, "A mandatory extension that the KME does not know is answered 400.",
     refuses_unknown_mandatory},
    {"014-6.2-mandatory-unknown-message", Level::kShall,
     "Then the message is \"not all extension_mandatory parameters are supported\", to the letter.",
     says_not_supported},
    {"014-6.2-optional-unknown", Level::kShall, "An optional extension that the KME does not know changes nothing.",
     serves_unknown_optional},
    {"014-6.2-size-above-max", Level::kDecision, "A size above max_key_size is answered 400.", refuses_size_above_max},
    {"014-6.2-size-below-min", Level::kDecision, "A size below min_key_size is answered 400.", refuses_size_below_min},
    {"014-6.2-size-0", Level::kDecision, "Size 0 is answered 400.", refuses_size_0},
    {"014-6.2-size-text", Level::kDecision, "A size that is a string is answered 400.", refuses_size_as_text},
    {"014-6.2-number-above-max", Level::kDecision, "A number above max_key_per_request is answered 400.",
     refuses_number_above_max},
    {"014-6.2-number-0", Level::kDecision, "Number 0 is answered 400.", refuses_number_0},
    {"014-6.2-number-negative", Level::kDecision, "A negative number is answered 400.", refuses_negative_number},
    {"014-6.2-number-fraction", Level::kDecision, "A number with a fraction is answered 400.", refuses_fraction},
    {"014-6.2-number-text", Level::kDecision, "A number that is a string is answered 400.", refuses_number_as_text},
    {"014-6.2-extensions-empty", Level::kDecision, "Empty arrays of extensions ask for nothing.",
     serves_empty_extensions},
    {"014-6.2-extensions-object", Level::kDecision, "extension_mandatory that is no array is answered 400.",
     refuses_extensions_as_an_object},
    {"014-6.2-unknown-member", Level::kDecision, "Unknown members of a key request are ignored.",
     ignores_unknown_members},
    {"014-6.2-null", Level::kDecision, "A member that is null counts as absent.", takes_null_as_absent},
    {"014-6.2-repeated-member", Level::kDecision, "A member that is given twice is answered 400.",
     refuses_a_repeated_member},
};

}  // namespace

std::span<const Check> key_request_checks() { return kChecks; }

}  // namespace qkms::cli::conformance
