#include "api/etsi014/response.h"

#include <algorithm>
#include <cassert>

#include "api/json_writer.h"

namespace qkms::api::etsi014 {
namespace {

constexpr std::uint32_t kMaxInteger = 2'147'483'647;

// The fixed parts of a key container. Its size is computed from the same constants that are written.
constexpr std::string_view kOpening = R"({"keys":[)";
constexpr std::string_view kBeforeId = R"({"key_ID":")";
constexpr std::string_view kBeforeKey = R"(","key":")";
constexpr std::string_view kAfterKey = R"("})";
constexpr std::string_view kBetweenKeys = ",";
constexpr std::string_view kClosing = "]}";

void append_name(std::string& out, std::string_view name) {
  if (out.back() != '{') out += ',';
  append_json_string(out, name);
  out += ':';
}

void append_text(std::string& out, std::string_view name, std::string_view value) {
  append_name(out, name);
  append_json_string(out, value);
}

void append_integer(std::string& out, std::string_view name, std::uint32_t value) {
  append_name(out, name);
  out += std::to_string(std::min(value, kMaxInteger));
}

}  // namespace

std::string status_body(const Status& status) {
  std::string out = "{";
  append_text(out, "source_KME_ID", status.source_kme.str());
  append_text(out, "target_KME_ID", status.target_kme.str());
  append_text(out, "master_SAE_ID", status.master.str());
  append_text(out, "slave_SAE_ID", status.slave.str());
  append_integer(out, "key_size", status.key_size_bits);
  append_integer(out, "stored_key_count", status.stored_key_count);
  append_integer(out, "max_key_count", status.max_key_count);
  append_integer(out, "max_key_per_request", status.max_key_per_request);
  append_integer(out, "max_key_size", status.max_key_size_bits);
  append_integer(out, "min_key_size", status.min_key_size_bits);
  append_integer(out, "max_SAE_ID_count", status.max_additional_slaves);
  out += '}';
  return out;
}

std::string error_body(std::string_view message, std::span<const Detail> details) {
  std::string out = "{";
  append_text(out, "message", message);
  if (!details.empty()) {
    append_name(out, "details");
    for (std::size_t i = 0; i < details.size(); ++i) {
      out += i == 0 ? "[{" : ",{";
      append_text(out, details[i].name, details[i].value);
      out += '}';
    }
    out += ']';
  }
  out += '}';
  return out;
}

std::size_t key_container_size(std::span<const std::uint32_t> key_bytes) {
  constexpr std::size_t kPerKey = kBeforeId.size() + kUuidTextBytes + kBeforeKey.size() + kAfterKey.size();
  std::size_t size = kOpening.size() + kClosing.size() + key_bytes.size() * kPerKey;
  if (!key_bytes.empty()) size += (key_bytes.size() - 1) * kBetweenKeys.size();
  for (const std::uint32_t bytes : key_bytes) size += base64_size(bytes);
  return size;
}

void write_key_container(const KeyContainer& keys, SecretWriter& out) {
  assert(keys.ids.size() == keys.key_bytes.size());
  std::span<const std::uint8_t> rest = keys.bits;
  out.text(kOpening);
  for (std::size_t i = 0; i < keys.ids.size(); ++i) {
    assert(keys.key_bytes[i] <= rest.size());
    if (i > 0) out.text(kBetweenKeys);
    out.text(kBeforeId);
    out.uuid(keys.ids[i]);
    out.text(kBeforeKey);
    out.base64(rest.first(keys.key_bytes[i]));
    out.text(kAfterKey);
    rest = rest.subspan(keys.key_bytes[i]);
  }
  assert(rest.empty());
  out.text(kClosing);
}

}  // namespace qkms::api::etsi014
