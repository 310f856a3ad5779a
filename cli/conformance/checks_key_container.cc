// Clause 6.3: the key container that Get key gives.
#include <fmt/format.h>

#include <algorithm>

#include "api/repetition.h"
#include "cli/conformance/expect.h"

namespace qkms::cli::conformance {

namespace {

// As many keys as allow a look at more than one, where the KME gives more than one.
Reply some_keys(Run& run) { return run.get_keys(run.may_ask_for(2) ? 2 : 1); }

template <class Predicate>
Verdict each_key(Run& run, std::string_view problem, Predicate is_good) {
  const Reply reply = some_keys(run);
  if (auto none = no_keys(reply, 1)) return *none;
  return std::ranges::all_of(reply.got(), is_good) ? pass() : failed(fmt::format("{}: {}", problem, reply.summary()));
}

Verdict has_keys(Run& run) {
  const Reply reply = some_keys(run);
  if (reply.status() != 200) return skipped("Get key gave no answer 200: " + reply.summary());
  if (!*reply.keys) return failed((*reply.keys).error().text);
  return reply.got().empty() ? failed("the array \"keys\" is empty") : pass();
}

Verdict key_id_is_uuid(Run& run) {
  return each_key(run, "a key_ID is no UUID", [](const Key& key) { return is_uuid(key.id); });
}
Verdict key_id_is_lower_case(Run& run) {
  return each_key(run, "a key_ID has capitals", [](const Key& key) {
    return std::ranges::none_of(key.id, [](char c) { return c >= 'A' && c <= 'Z'; });
  });
}
Verdict key_is_base64(Run& run) {
  return each_key(run, "a key is no base64 with padding",
                  [](const Key& key) { return key.bits && !key.bits->empty(); });
}

Verdict extensions_are_objects(Run& run) {
  const Reply reply = some_keys(run);
  if (auto none = no_keys(reply, 1)) return *none;
  auto others = (*reply.keys)->other_extensions;
  for (const Key& key : reply.got())
    others.insert(others.end(), key.other_extensions.begin(), key.other_extensions.end());
  return others.empty() ? pass() : failed(others.front() + " is no object");
}

Verdict key_ids_differ(Run& run) {
  if (!run.may_ask_for(2)) return skipped("max_key_per_request is 1");
  const Reply reply = run.get_keys(2);
  if (auto none = no_keys(reply, 2)) return *none;
  return api::has_repetition(reply.key_ids()) ? failed("two keys have one key_ID") : pass();
}

Verdict keys_differ(Run& run) {
  if (!run.may_ask_for(2)) return skipped("max_key_per_request is 1");
  const Reply reply = run.get_keys(2);
  if (auto none = no_keys(reply, 2)) return *none;
  const auto &a = reply.got()[0].bits, &b = reply.got()[1].bits;
  if (!a || !b) return skipped("a key is no base64");
  return a->equals(*b) ? failed("two keys have the same bits") : pass();
}

constexpr Check kChecks[] = {
    {"014-6.3-keys", Level::kShall, "A key container has keys, an array of objects.", has_keys},
    {"014-6.3-key-id-uuid", Level::kShall, "Each key has a key_ID, a UUID as a string.", key_id_is_uuid},
    {"014-6.3-key-base64", Level::kShall, "Each key has a key, in base64 (RFC 4648, with padding).", key_is_base64},
    {"014-6.3-extensions", Level::kShall,
     "key_ID_extension, key_extension and key_container_extension, where they are, are objects.",
     extensions_are_objects},
    {"014-6.3-key-ids-differ", Level::kShall, "The keys of a container have different key IDs.", key_ids_differ},
    {"014-6.3-keys-differ", Level::kShall, "The keys of a container have different bits.", keys_differ},
    {"014-6.3-key-id-lower-case", Level::kDecision, "Key IDs are written in lower case.", key_id_is_lower_case},
};

}  // namespace

std::span<const Check> key_container_checks() { return kChecks; }

}  // namespace qkms::cli::conformance
