#include "drivers/etsi014/testing/scripted_device.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>

namespace qkms::drivers {
namespace {

std::string base64(const std::string& bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3), '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  return out;
}

std::size_t number_in(const std::string& json, const std::string& name, std::size_t otherwise) {
  const auto at = json.find("\"" + name + "\":");
  return at == std::string::npos ? otherwise : std::stoul(json.substr(at + name.size() + 3));
}

std::vector<std::string> ids_in(const std::string& json) {
  constexpr std::string_view kBefore = "\"key_ID\":\"";
  std::vector<std::string> ids;
  for (std::size_t at = json.find(kBefore); at != std::string::npos; at = json.find(kBefore, at + 1))
    ids.push_back(json.substr(at + kBefore.size(), 36));
  return ids;
}

std::string container(const std::vector<DevicePool::Key>& keys, Fault fault) {
  std::string out = R"({"keys":[)";
  for (auto [id, bits] : keys) {
    if (fault == Fault::kWritesIdsInUpperCase)
      std::ranges::transform(id, id.begin(), [](char c) { return std::toupper(c); });
    if (fault == Fault::kGivesBadBase64) bits.back() = '!';
    out += fmt::format(R"({}{{"key_ID":"{}","key":"{}"}})", out.back() == '[' ? "" : ",", id, bits);
  }
  return out + "]}";
}

int status_of(Fault fault) {
  switch (fault) {
    case Fault::kRefuses400:
      return 400;
    case Fault::kRefuses401WithBody:
      return 401;
    case Fault::kRefuses403:
      return 403;
    case Fault::kRefuses404:
      return 404;
    case Fault::kRefuses410:
      return 410;
    case Fault::kBusy503:
      return 503;
    case Fault::kBusy429:
      return 429;
    default:
      return 200;
  }
}

std::string http_text(int status, const std::string& body, Fault fault) {
  if (fault == Fault::kSendsNoHttp) return "SSH-2.0-device\r\n\r\n";
  std::string out = fmt::format("HTTP/1.1 {} x\r\nContent-Type: application/json\r\n", status);
  if (fault == Fault::kClosesAfterTheAnswer) out += "Connection: close\r\n";
  if (fault == Fault::kSendsChunks) {
    const std::size_t half = body.size() / 2;
    return out + fmt::format("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", half,
                             body.substr(0, half), body.size() - half, body.substr(half));
  }
  return out + fmt::format("Content-Length: {}\r\n\r\n{}", body.size(), body);
}

}  // namespace

DevicePool::Key DevicePool::make_locked(std::size_t bytes) {
  std::string bits(bytes, '\0');
  RAND_bytes(reinterpret_cast<unsigned char*>(bits.data()), static_cast<int>(bytes));
  return {fmt::format("5ca1ab1e-0000-4000-8000-{:012x}", ++made_), base64(bits)};
}

DevicePool::Key DevicePool::make(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const Key key = make_locked(bytes);
  for_the_slave_.insert(key);
  return key;
}

DevicePool::Key DevicePool::paired(std::size_t n, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  while (paired_.size() <= n) paired_.push_back(make_locked(bytes));
  return paired_[n];
}

std::optional<std::string> DevicePool::take(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = for_the_slave_.extract(id);
  if (found.empty()) return std::nullopt;
  return found.mapped();
}

ScriptedDevice::ScriptedDevice(const DevicePki& pki, DevicePool& pool, DeviceLimits limits, Hooks hooks,
                               const std::string& certificate)
    : pool_(pool),
      limits_(limits),
      hooks_(std::move(hooks)),
      tls_(pki, [this](TlsDevice::Connection& connection) { serve(connection); }, certificate) {}

std::string ScriptedDevice::last_path() const {
  const std::lock_guard lock(mutex_);
  return last_path_;
}

int ScriptedDevice::count(const std::string& operation) const {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(operation);
  return found == counts_.end() ? 0 : found->second;
}

std::string ScriptedDevice::last_body(const std::string& operation) const {
  const std::lock_guard lock(mutex_);
  return last_bodies_.at(operation);
}

void ScriptedDevice::serve(TlsDevice::Connection& connection) {
  std::string buffer;
  while (const auto request = read_request(connection, buffer)) {
    if (!answer(connection, *request)) return;
  }
}

std::optional<ScriptedDevice::Request> ScriptedDevice::read_request(TlsDevice::Connection& connection,
                                                                    std::string& buffer) {
  std::size_t head_end = 0;
  while ((head_end = buffer.find("\r\n\r\n")) == std::string::npos) {
    const auto some = connection.read_some();
    if (!some) return std::nullopt;
    buffer += *some;
  }
  const std::size_t at = buffer.find("Content-Length: ");
  const std::size_t length = at < head_end ? std::stoul(buffer.substr(at + 16)) : 0;
  while (buffer.size() < head_end + 4 + length) {
    const auto some = connection.read_some();
    if (!some) return std::nullopt;
    buffer += *some;
  }
  const std::size_t path_at = buffer.find(' ') + 1;
  Request request;
  request.path = buffer.substr(path_at, buffer.find(' ', path_at) - path_at);
  request.operation = request.path.substr(request.path.rfind('/') + 1);
  request.body = buffer.substr(head_end + 4, length);
  buffer.erase(0, head_end + 4 + length);
  return request;
}

bool ScriptedDevice::answer(TlsDevice::Connection& connection, const Request& request) {
  int nth = 0;
  {
    const std::lock_guard lock(mutex_);
    last_path_ = request.path;
    last_bodies_[request.operation] = request.body;
    nth = ++counts_[request.operation];
  }
  hooks_.reached(request.operation, nth, Phase::kBefore);
  const Fault fault = hooks_.fault(request.operation, nth);
  int status = status_of(fault);
  const std::string body =
      status == 200 ? done(request, fault, status) : R"({"Message":"NO","message":"NO","details":"x"})";
  if (fault == Fault::kSays500) status = 500;
  if (fault == Fault::kSays204) status = 204;
  hooks_.reached(request.operation, nth, Phase::kDone);
  if (fault != Fault::kNone) ++faults_;
  const std::string text =
      http_text(status, fault == Fault::kCutsTheBody ? body.substr(0, body.size() / 2) : body, fault);
  if (fault == Fault::kHangs) return connection.hang(), false;
  if (fault == Fault::kDiesWithinTheAnswer) connection.write(text.substr(0, text.size() / 2));
  if (fault == Fault::kDiesWithinTheAnswer || fault == Fault::kDiesBeforeTheAnswer) return connection.die(), false;
  const bool wrote = connection.write(text);
  hooks_.reached(request.operation, nth, Phase::kAnswered);
  return wrote && fault != Fault::kClosesAfterTheAnswer && fault != Fault::kSendsNoHttp;
}

std::string ScriptedDevice::done(const Request& request, Fault fault, int& status) {
  return request.operation == "status" ? status_text() : keys_for(request, fault, status);
}

std::string ScriptedDevice::status_text() {
  const std::lock_guard lock(mutex_);
  const std::size_t stored = hooks_.paired ? hooks_.paired_keys() - paired_taken_ : limits_.stored;
  return fmt::format(
      R"({{"source_KME_ID":"a","target_KME_ID":"b","master_SAE_ID":"c","slave_SAE_ID":"d","key_size":{},)"
      R"("stored_key_count":{},"max_key_count":100000,"max_key_per_request":{},"max_key_size":{},"min_key_size":{},)"
      R"("max_SAE_ID_count":0}})",
      limits_.key_size_bits, stored, limits_.max_key_per_request, limits_.max_key_size_bits, limits_.min_key_size_bits);
}

std::string ScriptedDevice::keys_for(const Request& request, Fault fault, int& status) {
  const std::lock_guard lock(mutex_);
  std::vector<DevicePool::Key> keys;
  if (request.operation == "enc_keys") {
    std::size_t number = number_in(request.body, "number", 1);
    const std::size_t size = number_in(request.body, "size", limits_.key_size_bits) / 8;
    if (number > limits_.max_key_per_request || size * 8 > limits_.max_key_size_bits) status = 400;
    if (hooks_.paired && paired_taken_ + number > hooks_.paired_keys()) status = 503;
    if (status != 200) return R"({"message":"no"})";
    for (; number > 0; --number) keys.push_back(hooks_.paired ? pool_.paired(paired_taken_++, size) : pool_.make(size));
  } else {
    if (ids_in(request.body).size() > limits_.max_key_per_request) status = 400;
    for (const std::string& id : ids_in(request.body)) {
      const auto bits = pool_.take(id);
      if (!bits) status = 400;
      keys.emplace_back(id, bits.value_or(""));
    }
    if (status != 200) return R"({"message":"one or more keys specified are not found on KME"})";
  }
  if (fault == Fault::kGivesOldIds && !last_keys_.empty()) keys = last_keys_;
  last_keys_ = keys;
  if (fault == Fault::kGivesWrongSize) keys.back().second = base64(std::string(24, 'x'));
  if (fault == Fault::kGivesFewer) keys.pop_back();
  if (fault == Fault::kGivesMore) keys.push_back(pool_.make(32));
  if (fault == Fault::kGivesOneIdTwice) keys.back().first = keys.front().first;
  if (fault == Fault::kGivesOtherIds) keys.front().first = "5ca1ab1e-0000-4000-8000-ffffffffffff";
  if (fault == Fault::kShuffles) std::ranges::reverse(keys);
  return container(keys, fault);
}

}  // namespace qkms::drivers
