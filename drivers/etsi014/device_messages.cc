#include "drivers/etsi014/device_messages.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/json_reader.h"
#include "api/secret_reader.h"
#include "base/text.h"

namespace qkms::drivers::etsi014 {
namespace {

using api::find_member;
using api::JsonObject;
using api::JsonValue;

constexpr std::uint32_t kMaxKeyBits = 8U << 20;  // a block's largest size
constexpr std::uint32_t kMaxCount = 2'147'483'647;
// A key is an object, its ID and its bits; what else a device puts in must be little.
constexpr api::JsonLimits kJsonLimits{.max_depth = 16, .max_values = 16 * kMaxKeysPerAnswer};

std::unexpected<Error> corrupt(std::string what) { return fail(ErrorCode::kCorrupt, std::move(what)); }

// The object in the body. A member named "key" is left where it is: the body is wiped, the JSON is not.
Result<JsonValue> read_object(const SecretBytes& body) {
  const auto bytes = body.reveal();
  auto json = api::read_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, kJsonLimits, "key");
  if (!json) return corrupt(std::move(json.error().text));
  if (json->get<JsonObject>() == nullptr) return corrupt("it is no JSON object");
  return json;
}

// Nothing when the member is absent.
Result<std::optional<std::uint32_t>> integer(const JsonObject& object, std::string_view name, std::uint32_t max) {
  const JsonValue* member = find_member(object, name);
  if (member == nullptr) return std::nullopt;
  const auto* value = member->get<std::int64_t>();
  if (value == nullptr || *value < 0 || *value > max)
    return corrupt(fmt::format("its {} is no integer from 0 to {}", name, max));
  return static_cast<std::uint32_t>(*value);
}

class StatusReader {
 public:
  explicit StatusReader(const JsonObject& object) : object_(object) {}

  Result<DeviceStatus> read() {
    DeviceStatus out;
    out.key_size_bits = value("key_size", kMaxKeyBits).value_or(0);
    out.min_key_size_bits = value("min_key_size", kMaxKeyBits).value_or(out.key_size_bits);
    out.max_key_size_bits = value("max_key_size", kMaxKeyBits).value_or(out.key_size_bits);
    out.max_key_per_request = value("max_key_per_request", kMaxCount).value_or(1);
    out.stored_key_count = value("stored_key_count", kMaxCount);
    const auto max_count = value("max_key_count", kMaxCount);
    if (!problem_.empty()) return corrupt(problem_);
    if (out.key_size_bits == 0) return corrupt("it has no key_size");
    if (out.max_key_per_request == 0) return corrupt("its max_key_per_request is 0");
    if (out.min_key_size_bits > out.max_key_size_bits) return corrupt("its min_key_size is above its max_key_size");
    if (out.key_size_bits < out.min_key_size_bits || out.key_size_bits > out.max_key_size_bits) {
      out.oddity = "the device's key_size is not within its min_key_size and max_key_size";
    } else if (max_count && out.stored_key_count.value_or(0) > *max_count) {
      out.oddity = "the device says that it stores more keys than its max_key_count";
    }
    return out;
  }

 private:
  std::optional<std::uint32_t> value(std::string_view name, std::uint32_t max) {
    const auto read = integer(object_, name, max);
    if (!read && problem_.empty()) problem_ = read.error().text;
    return read ? *read : std::nullopt;
  }

  const JsonObject& object_;
  std::string problem_;
};

Result<DeviceKey> read_key(const JsonValue& value) {
  const auto* object = value.get<JsonObject>();
  if (object == nullptr) return corrupt("an element of its keys is no object");
  const JsonValue* id_member = find_member(*object, "key_ID");
  const auto* id_text = id_member == nullptr ? nullptr : id_member->get<std::string>();
  if (id_text == nullptr) return corrupt("a key has no key_ID");
  const auto id = parse_uuid(*id_text);
  if (!id) return corrupt("a key_ID is no UUID");
  const JsonValue* key_member = find_member(*object, "key");
  const auto* key_text = key_member == nullptr ? nullptr : key_member->get<api::JsonInPlace>();
  if (key_text == nullptr) return corrupt("a key has no bits");
  auto bits = api::decode_base64_in_json(key_text->inner);
  if (!bits) return corrupt("a key is not base64");
  return DeviceKey{KeyId(*id), std::move(*bits)};
}

}  // namespace

Result<DeviceStatus> read_status(const SecretBytes& body) {
  const auto json = read_object(body);
  if (!json) return std::unexpected(json.error());
  return StatusReader(*json->get<JsonObject>()).read();
}

Result<std::vector<DeviceKey>> read_key_container(const SecretBytes& body) {
  const auto json = read_object(body);
  if (!json) return std::unexpected(json.error());
  const JsonValue* member = find_member(*json->get<JsonObject>(), "keys");
  const auto* elements = member == nullptr ? nullptr : member->get<api::JsonArray>();
  if (elements == nullptr) return corrupt("it has no array \"keys\"");
  if (elements->size() > kMaxKeysPerAnswer) return corrupt(fmt::format("it has more than {} keys", kMaxKeysPerAnswer));
  std::vector<DeviceKey> keys;
  keys.reserve(elements->size());
  for (const JsonValue& element : *elements) {
    auto key = read_key(element);
    if (!key) return std::unexpected(key.error());
    keys.push_back(std::move(*key));
  }
  return keys;
}

std::string describe_refusal(int status, const SecretBytes& body) {
  const auto json = read_object(body);
  const JsonValue* member = json ? find_member(*json->get<JsonObject>(), "message") : nullptr;
  const auto* message = member == nullptr ? nullptr : member->get<std::string>();
  if (message == nullptr || message->empty()) return fmt::format("{}", status);
  return fmt::format("{}: {}", status, printable(*message, kMaxMessageBytes));
}

std::string key_request(std::size_t number, std::uint32_t size_bits) {
  return fmt::format(R"({{"number":{},"size":{}}})", number, size_bits);
}

std::string key_ids_request(std::span<const KeyId> ids) {
  std::string text = R"({"key_IDs":[)";
  for (const KeyId& id : ids)
    text += fmt::format(R"({}{{"key_ID":"{}"}})", text.ends_with('[') ? "" : ",", to_string(id));
  return text + "]}";
}

}  // namespace qkms::drivers::etsi014
