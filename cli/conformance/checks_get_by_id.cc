// Clauses 5.4 and 6.4: Get key with key IDs, its forms, and what it answers to key IDs that it cannot serve.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "api/etsi014/messages.h"
#include "cli/conformance/expect.h"

namespace qkms::cli::conformance {

namespace {

namespace messages = api::etsi014;

// A UUID of version 4 that no KME has handed out; random enough for that, and the same in every run.
constexpr std::string_view kUnknownId = "5ca1ab1e-0000-4000-8000-00000000dead";

using TestOfKeys = Verdict (*)(Run&, const Reply& given);

// Gets keys as the master, then looks at what the slave is given for them.
Verdict with_keys(Run& run, int number, TestOfKeys test) {
  if (!run.may_ask_for(number)) return skipped("max_key_per_request is lower than " + std::to_string(number));
  const Reply given = run.get_keys(number);
  if (auto none = no_keys(given, static_cast<std::size_t>(number))) return *none;
  return test(run, given);
}

Reply fetch_by_get(Run& run, const std::string& id) { return run.dec_keys_get(Who::kSlave, "?key_ID=" + id); }
Reply post(Run& run, std::string_view body) { return run.dec_keys_post(Who::kSlave, body); }

// --- what is to be served

Verdict get_one(Run& run) {
  return with_keys(run, 1,
                   [](Run& r, const Reply& given) { return expect_keys(fetch_by_get(r, given.key_ids()[0]), 1, {}); });
}
Verdict post_one(Run& run) {
  return with_keys(
      run, 1, [](Run& r, const Reply& given) { return expect_keys(r.fetch(Who::kSlave, given.key_ids()), 1, {}); });
}
Verdict post_several(Run& run) {
  return with_keys(
      run, 3, [](Run& r, const Reply& given) { return expect_keys(r.fetch(Who::kSlave, given.key_ids()), 3, {}); });
}
Verdict get_gives_the_same_key(Run& run) {
  return with_keys(run, 1, [](Run& r, const Reply& given) {
    const Reply fetched = fetch_by_get(r, given.key_ids()[0]);
    if (auto none = no_keys(fetched, 1)) return *none;
    return expect_same_keys(fetched, given.got());
  });
}
Verdict post_gives_the_same_keys(Run& run) {
  return with_keys(run, run.may_ask_for(2) ? 2 : 1, [](Run& r, const Reply& given) {
    const Reply fetched = r.fetch(Who::kSlave, given.key_ids());
    if (auto none = no_keys(fetched, 1)) return *none;
    return expect_same_keys(fetched, given.got());
  });
}

Verdict leaves_the_others(Run& run) {
  return with_keys(run, 2, [](Run& r, const Reply& given) {
    const auto ids = given.key_ids();
    const Reply one = r.fetch(Who::kSlave, {ids[1]}), other = r.fetch(Who::kSlave, {ids[0]});
    return first_of({expect_keys(one, 1, {}), expect_keys(other, 1, {})});
  });
}

Verdict is_a_container(Run& run) {
  return with_keys(run, 1, [](Run& r, const Reply& given) {
    const Reply fetched = r.fetch(Who::kSlave, given.key_ids());
    if (fetched.status() != 200) return skipped("it was not answered 200: " + fetched.summary());
    const auto is_good = [](const Key& key) { return is_uuid(key.id) && key.bits && key.other_extensions.empty(); };
    const bool good =
        *fetched.keys && (*fetched.keys)->other_extensions.empty() && std::ranges::all_of(fetched.got(), is_good);
    return good ? pass() : failed(fetched.summary());
  });
}

Verdict has_json_type(Run& run) {
  return with_keys(run, 1, [](Run& r, const Reply& given) {
    const Reply fetched = r.fetch(Who::kSlave, given.key_ids());
    if (fetched.status() != 200) return skipped("it was not answered 200: " + fetched.summary());
    const auto type = fetched.http.header("Content-Type");
    return is_json_type(type) ? pass() : failed(fmt::format("Content-Type is \"{}\"", type));
  });
}

Verdict takes_extensions(Run& run) {
  return with_keys(run, 1, [](Run& r, const Reply& given) {
    const std::string body = fmt::format(
        R"({{"key_IDs":[{{"key_ID":"{}","key_ID_extension":{{}}}}],"key_IDs_extension":{{}}}})", given.key_ids()[0]);
    return expect_keys(post(r, body), 1, {});
  });
}

// --- what is to be refused

Verdict fetched_twice(Run& run, Verdict (*judge)(const Reply&)) {
  const Reply given = run.get_keys(1);
  if (auto none = no_keys(given, 1)) return *none;
  const Reply first = run.fetch(Who::kSlave, given.key_ids());
  if (auto none = no_keys(first, 1)) return *none;
  return judge(run.fetch(Who::kSlave, given.key_ids()));
}
Verdict is_400(const Reply& reply) { return expect_status(reply, 400); }
Verdict says_not_found(const Reply& reply) {
  if (reply.status() != 400) return skipped("it was not answered 400");
  return expect_message(reply, messages::kKeyNotFound);
}
Verdict gives_a_key_once(Run& run) { return fetched_twice(run, is_400); }
Verdict says_not_found_twice(Run& run) { return fetched_twice(run, says_not_found); }

std::string unknown() { return key_ids_body({std::string(kUnknownId)}); }
Verdict refuses_an_unknown_id(Run& run) { return is_400(post(run, unknown())); }
Verdict refuses_an_unknown_id_by_get(Run& run) { return is_400(fetch_by_get(run, std::string(kUnknownId))); }
Verdict says_not_found_of_unknown(Run& run) { return says_not_found(post(run, unknown())); }
Verdict refuses_a_mix(Run& run) {
  return with_keys(run, 1, [](Run& r, const Reply& given) {
    return is_400(r.fetch(Who::kSlave, {given.key_ids()[0], std::string(kUnknownId)}));
  });
}
Verdict a_refusal_takes_nothing(Run& run) {
  return with_keys(run, 1, [](Run& r, const Reply& given) {
    const Reply mixed = r.fetch(Who::kSlave, {given.key_ids()[0], std::string(kUnknownId)});
    if (mixed.status() != 400) return skipped("the mix was not answered 400");
    return expect_keys(r.fetch(Who::kSlave, given.key_ids()), 1, {});
  });
}

Verdict refuses_no_key_ids(Run& run) { return is_400(post(run, "{}")); }
Verdict refuses_broken_json(Run& run) { return is_400(post(run, R"({"key_IDs":[)")); }
Verdict refuses_an_empty_list(Run& run) { return is_400(post(run, R"({"key_IDs":[]})")); }
Verdict refuses_bare_strings(Run& run) { return is_400(post(run, fmt::format(R"({{"key_IDs":["{}"]}})", kUnknownId))); }
Verdict refuses_what_is_no_uuid(Run& run) { return is_400(post(run, R"({"key_IDs":[{"key_ID":"1"}]})")); }
Verdict refuses_get_without_key_id(Run& run) { return is_400(run.dec_keys_get(Who::kSlave, "")); }
Verdict refuses_the_same_id_twice(Run& run) {
  return with_keys(run, 1, [](Run& r, const Reply& given) {
    return is_400(r.fetch(Who::kSlave, {given.key_ids()[0], given.key_ids()[0]}));
  });
}

// --- decisions about what is served

Verdict takes_capitals(Run& run) {
  return with_keys(run, 1, [](Run& r, const Reply& given) {
    std::string id = given.key_ids()[0];
    std::ranges::transform(id, id.begin(), [](char c) { return c >= 'a' && c <= 'f' ? static_cast<char>(c - 32) : c; });
    return expect_keys(r.fetch(Who::kSlave, {id}), 1, {});
  });
}
Verdict ignores_unknown_members(Run& run) {
  return with_keys(run, 1, [](Run& r, const Reply& given) {
    const std::string body =
        fmt::format(R"({{"key_IDs":[{{"key_ID":"{}","qkmsconformance_unknown":"x"}}],"qkmsconformance_unknown":1}})",
                    given.key_ids()[0]);
    return expect_keys(post(r, body), 1, {});
  });
}
Verdict keeps_the_order(Run& run) {
  return with_keys(run, 3, [](Run& r, const Reply& given) {
    std::vector<std::string> ids = given.key_ids();
    std::ranges::rotate(ids, ids.begin() + 1);
    const Reply fetched = r.fetch(Who::kSlave, ids);
    if (auto none = no_keys(fetched, 3)) return *none;
    return std::ranges::equal(fetched.key_ids(), ids, equal_ids) ? pass() : failed("the keys come in another order");
  });
}

constexpr Check kChecks[] = {
    {"014-5.4-get", Level::kShall, "Get key with key IDs by GET with key_ID gives that one key.", get_one},
    {"014-5.4-post", Level::kShall, "Get key with key IDs by POST with one key ID gives one key.", post_one},
    {"014-5.4-post-several", Level::kShall, "Get key with key IDs by POST with several key IDs gives them all.",
     post_several},
    {"014-5.4-same-key-get", Level::kShall, "By GET the slave gets the same bits as the master, under the same key ID.",
     get_gives_the_same_key},
    {"014-5.4-same-key-post", Level::kShall,
     "By POST the slave gets the same bits as the master, under the same key IDs.", post_gives_the_same_keys},
    {"014-5.4-only-those", Level::kShall,
     "Only the keys that were asked for are given; the others can be fetched later.", leaves_the_others},
    {"014-5.4-content-type", Level::kShall, "The answer to Get key with key IDs is application/json.", has_json_type},
    {"014-5.4-container", Level::kShall,
     "The answer to Get key with key IDs is a key container: UUIDs, base64, extensions that are objects.",
     is_a_container},
    {"014-5.4-once", Level::kShall, "A key that was fetched is gone: a second time is answered 400.", gives_a_key_once},
    {"014-5.4-once-message", Level::kShall,
     "Then the message is \"one or more keys specified are not found on KME\", to the letter.", says_not_found_twice},
    {"014-5.4-unknown-key-id", Level::kShall, "A key ID that the KME does not know is answered 400 (POST).",
     refuses_an_unknown_id},
    {"014-5.4-unknown-key-id-get", Level::kShall, "A key ID that the KME does not know is answered 400 (GET).",
     refuses_an_unknown_id_by_get},
    {"014-5.4-unknown-key-id-message", Level::kShall,
     "Then the message is \"one or more keys specified are not found on KME\", to the letter.",
     says_not_found_of_unknown},
    {"014-5.4-one-unknown", Level::kShall, "One unknown key ID among others fails the whole request with 400.",
     refuses_a_mix},
    {"014-5.4-refusal-takes-nothing", Level::kDecision, "Such a request uses up none of its keys.",
     a_refusal_takes_nothing},
    {"014-5.4-order", Level::kDecision, "The keys come in the order of the request.", keeps_the_order},
    {"014-5.4-broken-json", Level::kShall, "Get key with key IDs with a body that is no JSON is answered 400.",
     refuses_broken_json},
    {"014-5.4-get-without-key-id", Level::kDecision, "GET without key_ID is answered 400.", refuses_get_without_key_id},
    {"014-6.4-key-ids", Level::kShall, "Get key with key IDs without key_IDs is answered 400.", refuses_no_key_ids},
    {"014-6.4-extensions", Level::kShall, "key_ID_extension and key_IDs_extension may be in a request.",
     takes_extensions},
    {"014-6.4-empty-list", Level::kDecision, "An empty array key_IDs is answered 400.", refuses_an_empty_list},
    {"014-6.4-bare-strings", Level::kDecision, "Strings in place of objects in key_IDs are answered 400.",
     refuses_bare_strings},
    {"014-6.4-no-uuid", Level::kDecision, "A key_ID that is no UUID is answered 400.", refuses_what_is_no_uuid},
    {"014-6.4-repeated", Level::kDecision, "The same key ID twice in a request is answered 400.",
     refuses_the_same_id_twice},
    {"014-6.4-capitals", Level::kDecision, "Key IDs are taken in either case.", takes_capitals},
    {"014-6.4-unknown-members", Level::kDecision, "Unknown members in a request are ignored.", ignores_unknown_members},
};

}  // namespace

std::span<const Check> get_by_id_checks() { return kChecks; }

}  // namespace qkms::cli::conformance
