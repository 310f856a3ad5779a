#include "cli/conformance/body.h"

#include <algorithm>
#include <charconv>

#include "api/json_writer.h"
#include "base/id.h"
#include "base/text.h"
#include "cli/conformance/http_answer.h"

namespace qkms::cli::conformance {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// The end of the JSON string that starts at `at` with its quote: just behind its last quote, or the text's end.
std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '"') return at + 1;
    if (text[at] == '\\') ++at;
  }
  return text.size();
}

// The characters between the quotes. Of the escapes only those that base64 may be written with are resolved; any other
// stays, and is no base64 then.
SecretBytes unescaped(std::string_view quoted) {
  std::string_view inner = quoted.substr(1);
  if (inner.ends_with('"')) inner.remove_suffix(1);
  SecretBuffer out;
  for (std::size_t i = 0; i < inner.size(); ++i) {
    if (inner[i] == '\\' && i + 1 < inner.size() && inner[i + 1] == '/') ++i;
    out.room(1).front() = static_cast<std::uint8_t>(inner[i]);
    out.grow(1);
  }
  return SecretBytes::copy_of(out.bytes());
}

// A name with an escape in it could be any name.
bool may_hold_key(std::string_view quoted_name, Carries carries) {
  if (carries == Carries::kKeys) return quoted_name != "\"key_ID\"";
  return quoted_name == "\"key\"" || quoted_name.contains('\\');
}

int base64_value(std::uint8_t c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

std::vector<std::string> extensions_that_are_no_objects(const api::JsonObject& object,
                                                        std::initializer_list<std::string_view> names) {
  std::vector<std::string> out;
  for (const auto name : names) {
    const auto* value = api::find_member(object, name);
    if (value != nullptr && value->get<api::JsonObject>() == nullptr) out.emplace_back(name);
  }
  return out;
}

// The secret that a placeholder stands for.
std::optional<SecretBytes> bits_of(const api::JsonValue* value, std::vector<SecretBytes>& secrets) {
  const auto* text = value == nullptr ? nullptr : value->get<std::string>();
  if (text == nullptr || !text->starts_with('#')) return std::nullopt;
  std::size_t index = 0;
  const bool is_number = std::from_chars(text->data() + 1, text->data() + text->size(), index).ec == std::errc();
  return is_number && index < secrets.size() ? decode_base64(secrets[index]) : std::nullopt;
}

Result<Key> read_key(const api::JsonValue& value, std::vector<SecretBytes>& secrets) {
  const auto* object = value.get<api::JsonObject>();
  if (object == nullptr) return fail(ErrorCode::kInvalid, "an element of \"keys\" is no object");
  Key out;
  const auto* id = api::find_member(*object, "key_ID");
  if (id != nullptr && id->get<std::string>() != nullptr) out.id = *id->get<std::string>();
  out.bits = bits_of(api::find_member(*object, "key"), secrets);
  out.other_extensions = extensions_that_are_no_objects(*object, {"key_ID_extension", "key_extension"});
  return out;
}

}  // namespace

Redacted redact(std::string_view body, Carries carries) {
  Redacted out;
  std::string_view name;
  for (std::size_t at = 0; at < body.size();) {
    if (body[at] != '"') {
      if (body[at] != ':' && !is_blank(body[at])) name = {};
      out.text += body[at++];
      continue;
    }
    const std::size_t end = string_end(body, at);
    const auto quoted = body.substr(at, end - at);
    const auto after = body.find_first_not_of(" \t\n\r", end);
    const bool is_name = name.empty() && after != std::string_view::npos && body[after] == ':';
    if (!is_name && may_hold_key(name, carries)) {
      out.text += "\"#" + std::to_string(out.secrets.size()) + "\"";
      out.secrets.push_back(unescaped(quoted));
    } else {
      out.text += quoted;
    }
    name = is_name ? quoted : std::string_view();
    at = end;
  }
  // What is no object is shown to nobody: its key may not be a string.
  const auto first = body.find_first_not_of(" \t\n\r");
  const bool is_object = first != std::string_view::npos && body[first] == '{';
  if (carries == Carries::kKeys && !is_object) out.text.clear();
  return out;
}

std::optional<SecretBytes> decode_base64(const SecretBytes& characters) {
  const auto text = characters.reveal();
  if (text.size() % 4 != 0) return std::nullopt;
  const std::size_t padding =
      text.empty() ? 0 : static_cast<std::size_t>((text.back() == '=') + (text[text.size() - 2] == '='));
  SecretBytes out(text.size() / 4 * 3 - padding);
  std::uint32_t group = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_padding = i >= text.size() - padding;
    const int value = is_padding ? 0 : base64_value(text[i]);
    if (value < 0 || (is_padding && text[i] != '=')) return std::nullopt;
    group = group << 6 | static_cast<std::uint32_t>(value);
    if (i % 4 != 3) continue;
    for (std::size_t byte = 0; byte < 3 && i / 4 * 3 + byte < out.size(); ++byte)
      out.reveal_mutable()[i / 4 * 3 + byte] = static_cast<std::uint8_t>(group >> (16 - 8 * byte));
    group = 0;
  }
  return out;
}

Result<KeyContainer> read_container(const api::JsonValue& json, std::vector<SecretBytes>& secrets) {
  const auto* object = json.get<api::JsonObject>();
  if (object == nullptr) return fail(ErrorCode::kInvalid, "the body is no JSON object");
  const auto* member = api::find_member(*object, "keys");
  const auto* keys = member == nullptr ? nullptr : member->get<api::JsonArray>();
  if (keys == nullptr) return fail(ErrorCode::kInvalid, "there is no array \"keys\"");
  KeyContainer out;
  out.other_extensions = extensions_that_are_no_objects(*object, {"key_container_extension"});
  for (const auto& element : *keys) {
    auto key = read_key(element, secrets);
    if (!key) return std::unexpected(key.error());
    out.keys.push_back(std::move(*key));
  }
  return out;
}

std::string key_ids_body(const std::vector<std::string>& key_ids) {
  std::string out = R"({"key_IDs":[)";
  for (const auto& id : key_ids) {
    out += out.ends_with('[') ? R"({"key_ID":)" : R"(,{"key_ID":)";
    api::append_json_string(out, id);
    out += '}';
  }
  return out + "]}";
}

bool equal_ids(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

bool is_uuid(std::string_view text) { return parse_uuid(text).has_value(); }

}  // namespace qkms::cli::conformance
