#include "cli/conformance/expect.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace qkms::cli::conformance {

namespace {

const Key* find_key(const std::vector<Key>& keys, std::string_view id) {
  const auto found = std::ranges::find_if(keys, [id](const Key& key) { return equal_ids(key.id, id); });
  return found == keys.end() ? nullptr : &*found;
}

}  // namespace

Verdict expect_status(const Reply& reply, int status) {
  if (reply.status() == status) return pass();
  return failed(fmt::format("expected {}, got {}", status, reply.summary()));
}

Verdict expect_message(const Reply& reply, std::string_view message) {
  const std::string* got = reply.message();
  if (got == nullptr) return failed("no Error body with a message: " + reply.summary());
  if (*got == message) return pass();
  return failed(fmt::format("expected the message \"{}\", got \"{}\"", message, printable(*got, 200)));
}

Verdict expect_refused(const Reply& reply) {
  if (reply.status() >= 400 && reply.status() < 500) return pass();
  return failed("expected a refusal, got " + reply.summary());
}

Verdict expect_keys(const Reply& reply, std::int64_t number, std::optional<std::int64_t> bits) {
  if (reply.status() != 200) return expect_status(reply, 200);
  const bool has_number = static_cast<std::int64_t>(reply.got().size()) == number;
  const bool has_size = std::ranges::all_of(reply.got(), [bits](const Key& key) {
    return !bits || !key.bits || static_cast<std::int64_t>(key.bits->size() * 8) == *bits;
  });
  if (has_number && has_size) return pass();
  return failed(fmt::format("expected {} key{}{}, got {}", number, number == 1 ? "" : "s",
                            bits ? fmt::format(" of {} bits", *bits) : "", reply.summary()));
}

Verdict expect_same_keys(const Reply& reply, const std::vector<Key>& expected) {
  const auto number = expect_keys(reply, static_cast<std::int64_t>(expected.size()), {});
  if (number.outcome != Outcome::kPass) return number;
  for (const Key& key : expected) {
    const Key* got = find_key(reply.got(), key.id);
    if (got == nullptr) return failed("the key IDs are others than those that were asked for");
    if (!got->bits || !key.bits) return skipped("a key is no base64");
    if (!got->bits->equals(*key.bits)) return failed("the key has other bits than the master's");
  }
  return pass();
}

std::optional<Verdict> no_keys(const Reply& reply, std::size_t number) {
  if (reply.status() == 200 && reply.got().size() >= number) return std::nullopt;
  return skipped("Get key gave no keys to try it with: " + reply.summary());
}

Verdict first_of(std::initializer_list<Verdict> verdicts) {
  const auto bad = std::ranges::find_if(verdicts, [](const Verdict& one) { return one.outcome != Outcome::kPass; });
  return bad == verdicts.end() ? pass() : *bad;
}

}  // namespace qkms::cli::conformance
