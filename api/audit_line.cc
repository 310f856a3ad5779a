#include "api/audit_line.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "api/json_reader.h"
#include "api/json_writer.h"
#include "base/text.h"

namespace qkms::api {
namespace {

constexpr std::size_t kUsualLineBytes = 384;  // without key IDs, so that a line is allocated once
constexpr std::size_t kKeyTextBytes = 39;

void append_text(std::string& line, std::string_view name, std::string_view text) {
  if (text.empty()) return;
  line += ",\"";
  line += name;
  line += "\":";
  append_json_string(line, text.substr(0, kMaxAuditTextBytes));
}

void append_digits(std::string& line, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  line.append(digits.data(), end);
}

void append_number(std::string& line, std::string_view name, std::uint64_t number) {
  if (number == 0) return;
  line += ",\"";
  line += name;
  line += "\":";
  append_digits(line, number);
}

void append_keys(std::string& line, const std::vector<KeyId>& keys) {
  if (keys.empty()) return;
  line += R"(,"keys":)";
  char before = '[';
  for (const KeyId& key : keys) {
    line += std::exchange(before, ',');
    line += '"';
    std::array<char, 36> text;
    write_uuid(key.bytes(), text);
    line.append(text.data(), text.size());
    line += '"';
  }
  line += ']';
}

Result<AuditHash> hash_of_text(std::string_view text) {
  AuditHash hash;
  if (text.size() != 2 * hash.size()) return fail(ErrorCode::kInvalid, "\"previous\" is not 64 hexadecimal digits");
  for (std::size_t i = 0; i < hash.size(); ++i) {
    const int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return fail(ErrorCode::kInvalid, "\"previous\" is not 64 hexadecimal digits");
    hash[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return hash;
}

}  // namespace

std::string_view name_of(AuditAction action) {
  switch (action) {
    case AuditAction::kStart:
      return "start";
    case AuditAction::kStop:
      return "stop";
    case AuditAction::kKeysToMaster:
      return "keys_to_master";
    case AuditAction::kKeysToSlave:
      return "keys_to_slave";
    case AuditAction::kRefusal:
      return "refusal";
    case AuditAction::kIngest:
      return "ingest";
    case AuditAction::kQuarantine:
      return "quarantine";
    case AuditAction::kBlockLost:
      return "block_lost";
    case AuditAction::kBurn:
      return "burn";
    case AuditAction::kExpiry:
      return "expiry";
    case AuditAction::kPairAfresh:
      return "pair_afresh";
    case AuditAction::kStorePutBack:
      return "store_put_back";
    case AuditAction::kConfiguration:
      return "configuration";
    case AuditAction::kMasterKey:
      return "master_key";
    case AuditAction::kBackup:
      return "backup";
    case AuditAction::kSeal:
      return "seal";
    case AuditAction::kUnseal:
      return "unseal";
  }
  return "unknown";
}

std::string audit_line(const AuditStamp& stamp, const AuditRecord& record) {
  std::string line;
  line.reserve(kUsualLineBytes + kKeyTextBytes * record.keys.size());
  line += R"({"n":)";
  append_digits(line, stamp.sequence);
  line += R"(,"time":")";
  line += stamp.time;
  line += '"';
  append_text(line, "node", stamp.node);
  append_text(line, "action", name_of(record.action));
  append_text(line, "actor", record.actor);
  append_text(line, "subject", record.subject);
  append_keys(line, record.keys);
  append_number(line, "bits", record.bits);
  append_number(line, "count", record.count);
  append_text(line, "reason", record.reason);
  append_text(line, "previous", to_hex(stamp.previous));
  line += '}';
  return line;
}

Result<AuditPlace> place_of_audit_line(std::string_view line) {
  constexpr JsonLimits kLimits{.max_depth = 4, .max_values = 1 << 16};
  const auto value = read_json(line, kLimits);
  if (!value) return fail(ErrorCode::kInvalid, "it is not JSON: " + value.error().text);
  const auto* object = value->get<JsonObject>();
  if (object == nullptr) return fail(ErrorCode::kInvalid, "it is not a JSON object");
  const JsonValue* sequence = find_member(*object, "n");
  const JsonValue* previous = find_member(*object, "previous");
  const auto* number = sequence == nullptr ? nullptr : sequence->get<std::int64_t>();
  const auto* text = previous == nullptr ? nullptr : previous->get<std::string>();
  if (number == nullptr || *number < 1 || text == nullptr)
    return fail(ErrorCode::kInvalid, R"(it has no "n" or no "previous")");
  const auto hash = hash_of_text(*text);
  if (!hash) return std::unexpected(hash.error());
  return AuditPlace{static_cast<std::uint64_t>(*number), *hash};
}

}  // namespace qkms::api
