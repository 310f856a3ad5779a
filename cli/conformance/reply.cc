#include "cli/conformance/reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"

namespace qkms::cli::conformance {

namespace {

constexpr std::size_t kMaxShownBytes = 300;
constexpr api::JsonLimits kJsonLimits{32, 1 << 16};

std::string sizes_of(const std::vector<Key>& keys) {
  std::set<std::string> sizes;
  for (const auto& key : keys) sizes.insert(key.bits ? fmt::format("{} bits", key.bits->size() * 8) : "no base64");
  return fmt::format("{}", fmt::join(sizes, " or "));
}

std::string summary_of(const Result<KeyContainer>& container) {
  if (!container) return "no key container: " + container.error().text;
  const auto& keys = container->keys;
  if (keys.empty()) return "no keys";
  const bool is_good = std::ranges::all_of(keys, [](const Key& key) { return key.bits.has_value(); });
  return fmt::format("{} key{} of {}{}, {}", keys.size(), keys.size() == 1 ? "" : "s", sizes_of(keys),
                     is_good ? ", base64 valid" : "",
                     std::ranges::all_of(keys, [](const Key& key) { return is_uuid(key.id); }) ? "key_ID a UUID"
                                                                                               : "key_ID not a UUID");
}

}  // namespace

const std::string* Reply::message() const {
  const auto* object = json ? json->get<api::JsonObject>() : nullptr;
  const auto* member = object == nullptr ? nullptr : api::find_member(*object, "message");
  return member == nullptr ? nullptr : member->get<std::string>();
}

const std::vector<Key>& Reply::got() const {
  static const std::vector<Key> kNone;
  return keys && *keys ? (*keys)->keys : kNone;
}

std::vector<std::string> Reply::key_ids() const {
  std::vector<std::string> out;
  for (const auto& key : got()) out.push_back(key.id);
  return out;
}

std::string Reply::summary() const {
  if (!answered()) return "no answer: " + no_answer;
  const std::string type = printable(http.header("Content-Type"), 40);
  const std::string start = type.empty() ? fmt::format("{}", status()) : fmt::format("{} {}", status(), type);
  if (keys) return fmt::format("{}: {}", start, summary_of(*keys));
  if (body_bytes == 0) return start + ", no body";
  return fmt::format("{}: {}", start, printable(text, kMaxShownBytes));
}

Reply reply_of(Result<api::HttpAnswer> answer, Carries carries) {
  Reply out;
  if (!answer) {
    out.no_answer = answer.error().text.empty() ? "unknown" : answer.error().text;
    return out;
  }
  out.http = std::move(*answer);
  const SecretBytes body = std::move(out.http.body);
  out.body_bytes = body.size();
  const bool has_keys = carries == Carries::kKeys && out.http.status == 200;
  const auto bytes = body.reveal();
  const std::string_view view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  Redacted redacted = redact(view, has_keys ? Carries::kKeys : Carries::kNoKeys);
  out.json = api::read_json(redacted.text, kJsonLimits);
  if (!has_keys) {
    out.text = std::move(redacted.text);
  } else if (!out.json) {
    out.keys = Result<KeyContainer>(std::unexpected(out.json.error()));
  } else {
    out.keys = read_container(*out.json, redacted.secrets);
  }
  return out;
}

}  // namespace qkms::cli::conformance
