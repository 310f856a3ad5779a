// Clause 6.5: the Error body, and what all answers of the run have in common. Comes last.
#include <fmt/format.h>

#include <algorithm>

#include "cli/conformance/expect.h"

namespace qkms::cli::conformance {

namespace {

// --- one error of each method, asked for here

Verdict has_message(const Reply& reply) {
  if (reply.status() != 400) return skipped("it was not answered 400: " + reply.summary());
  return reply.message() != nullptr && !reply.message()->empty() ? pass() : failed(reply.summary());
}
Reply get_key_error(Run& run) { return run.enc_keys_post("["); }
Reply get_by_id_error(Run& run) { return run.dec_keys_post(Who::kSlave, "["); }

Verdict get_key_has_message(Run& run) { return has_message(get_key_error(run)); }
Verdict get_by_id_has_message(Run& run) { return has_message(get_by_id_error(run)); }

Verdict has_json_type(Run& run) {
  const Reply reply = get_key_error(run);
  if (reply.status() != 400) return skipped("it was not answered 400: " + reply.summary());
  const auto type = reply.http.header("Content-Type");
  return is_json_type(type) ? pass() : failed(fmt::format("Content-Type is \"{}\"", type));
}

// --- the whole run

template <class Applies, class IsGood>
Verdict every_answer(Run& run, Applies applies, IsGood is_good) {
  const auto bad =
      std::ranges::find_if(run.seen(), [&](const auto& seen) { return applies(seen.status) && !is_good(seen); });
  if (bad == run.seen().end()) return pass();
  return failed(fmt::format("{} to {}", bad->status, bad->sent));
}

Verdict every_error_has_a_message(Run& run) {
  return every_answer(
      run, [](int status) { return status == 400 || status == 503; },
      [](const Run::Seen& seen) { return seen.has_message; });
}
Verdict no_401_has_a_body(Run& run) {
  return every_answer(
      run, [](int status) { return status == 401; }, [](const Run::Seen& seen) { return !seen.has_body; });
}
Verdict details_are_an_array(Run& run) {
  return every_answer(
      run, [](int status) { return status >= 400; }, [](const Run::Seen& seen) { return seen.has_good_details; });
}
Verdict no_answer_was_500(Run& run) {
  return every_answer(
      run, [](int status) { return status == 500 || status == 502 || status == 504; },
      [](const Run::Seen&) { return false; });
}

// Bits that short are alike now and then by chance.
constexpr std::size_t kLeastBytesToCompare = 8;

Verdict no_key_came_twice(Run& run) {
  const auto& keys = run.keys_of_master();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const bool comparable = keys[i].bits->size() >= kLeastBytesToCompare;
      if (comparable && keys[i].bits->equals(*keys[j].bits)) return failed("two requests were given the same bits");
    }
  }
  return keys.size() < 2 ? skipped("fewer than two keys came") : pass();
}
Verdict no_key_id_came_twice(Run& run) {
  const auto& keys = run.keys_of_master();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (equal_ids(keys[i].id, keys[j].id)) return failed("two keys have one key_ID");
    }
  }
  return keys.size() < 2 ? skipped("fewer than two keys came") : pass();
}

constexpr Check kChecks[] = {
    {"014-5.3-fresh-keys", Level::kShall,
     "A key that was handed out is not handed out again: all keys of this run differ.", no_key_came_twice},
    {"014-5.3-fresh-key-ids", Level::kShall, "Key IDs are unique: all of this run differ.", no_key_id_came_twice},
    {"014-6.5-get-key", Level::kShall, "A 400 to Get key has an Error body with message, a string.",
     get_key_has_message},
    {"014-6.5-get-key-with-key-ids", Level::kShall,
     "A 400 to Get key with key IDs has an Error body with message, a string.", get_by_id_has_message},
    {"014-6.5-content-type", Level::kShall, "An Error body is application/json.", has_json_type},
    {"014-6.5-message", Level::kShall, "Every 400 and 503 of this run had an Error body with message.",
     every_error_has_a_message},
    {"014-6.5-details", Level::kShall, "details, where an error of this run had them, were an array of objects.",
     details_are_an_array},
    {"014-6.5-no-body", Level::kShall, "No 401 of this run had a body.", no_401_has_a_body},
    {"014-6.5-server-errors", Level::kShall,
     "No answer of this run was 500, 502 or 504: what the KME cannot do is a 503.", no_answer_was_500},
};

}  // namespace

std::span<const Check> error_checks() { return kChecks; }

}  // namespace qkms::cli::conformance
