#include "drivers/etsi014/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "api/percent.h"

namespace qkms::drivers::etsi014 {
namespace {

std::unexpected<CallFailure> failure(Outcome outcome, std::string text, ErrorCode code = ErrorCode::kCorrupt) {
  return std::unexpected(CallFailure{outcome, Error{code, std::move(text)}});
}

std::unexpected<CallFailure> failure(const HttpFailure& failed) {
  if (failed.error.code == ErrorCode::kClosed) return std::unexpected(CallFailure{Outcome::kStopped, failed.error});
  const Outcome outcome = failed.reached == Reached::kNo ? Outcome::kNotSent : Outcome::kLost;
  return std::unexpected(CallFailure{outcome, failed.error});
}

// The answer's body when it is a 200.
CallResult<SecretBytes> judge(api::HttpAnswer answer, std::string_view operation) {
  if (answer.status == 200) return std::move(answer.body);
  std::string text =
      fmt::format("the device answers {} with {}", operation, describe_refusal(answer.status, answer.body));
  if (answer.status == 503 || answer.status == 429)
    return failure(Outcome::kBusy, std::move(text), ErrorCode::kPoolExhausted);
  // Another success, or a gateway's or a crashed handler's error: the device behind it may have done its part.
  const bool may_have_consumed = answer.status < 300 || answer.status >= 500;
  return failure(may_have_consumed ? Outcome::kLost : Outcome::kRefused, std::move(text),
                 answer.status == 401 ? ErrorCode::kUnauthorised : ErrorCode::kInvalid);
}

std::string wrong_size(const DeviceKey& key, std::size_t key_bytes) {
  return fmt::format("the device gave a key of {} bytes; asked for: {}", key.bits.size(), key_bytes);
}

}  // namespace

CallResult<SecretBytes> Device::ask(std::string_view method, std::string_view operation, std::string_view json) {
  const std::string target =
      fmt::format("{}/api/v1/keys/{}/{}", settings_.path_prefix, api::percent_encode(settings_.twin.str()), operation);
  auto answer = http_.exchange(method, target, json);
  if (!answer) return failure(answer.error());
  return judge(std::move(*answer), operation);
}

CallResult<DeviceStatus> Device::status() {
  auto body = ask("GET", "status", "");
  if (!body && body.error().outcome == Outcome::kLost) body = ask("GET", "status", "");
  if (!body) return std::unexpected(std::move(body.error()));
  auto status = read_status(*body);
  if (!status) return failure(Outcome::kWrong, "the device's status: " + status.error().text);
  return std::move(*status);
}

CallResult<std::vector<DeviceKey>> Device::get(std::size_t number, std::uint32_t size_bits) {
  const auto body = ask("POST", "enc_keys", key_request(number, size_bits));
  if (!body) return std::unexpected(body.error());
  auto keys = read_key_container(*body);
  if (!keys) return failure(Outcome::kLost, "the device's answer with keys: " + keys.error().text);
  if (keys->size() != number)
    return failure(Outcome::kWrong, fmt::format("the device gave {} keys; asked for: {}", keys->size(), number));
  std::set<KeyId> ids;
  for (const DeviceKey& key : *keys) {
    if (key.bits.size() * 8 != size_bits) return failure(Outcome::kWrong, wrong_size(key, size_bits / 8));
    if (!ids.insert(key.id).second) return failure(Outcome::kWrong, "the device gave two keys under one ID");
  }
  return std::move(*keys);
}

CallResult<std::vector<DeviceKey>> Device::get_by_id(std::span<const KeyId> ids, std::size_t key_bytes) {
  const auto body = ask("POST", "dec_keys", key_ids_request(ids));
  if (!body) return std::unexpected(body.error());
  auto keys = read_key_container(*body);
  if (!keys) return failure(Outcome::kLost, "the device's answer with keys: " + keys.error().text);
  if (keys->size() != ids.size())
    return failure(Outcome::kWrong, fmt::format("the device gave {} keys; asked for: {}", keys->size(), ids.size()));
  std::map<KeyId, DeviceKey> by_id;
  for (DeviceKey& key : *keys) {
    if (key.bits.size() != key_bytes) return failure(Outcome::kWrong, wrong_size(key, key_bytes));
    const KeyId id = key.id;
    if (!by_id.emplace(id, std::move(key)).second)
      return failure(Outcome::kWrong, "the device gave two keys under one ID");
  }
  std::vector<DeviceKey> in_order;
  in_order.reserve(ids.size());
  for (const KeyId& id : ids) {
    const auto found = by_id.find(id);
    if (found == by_id.end()) return failure(Outcome::kWrong, "the device gave a key that was not asked for");
    in_order.push_back(std::move(found->second));
  }
  return in_order;
}

}  // namespace qkms::drivers::etsi014
