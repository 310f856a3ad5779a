#include "api/etsi014/request.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "api/repetition.h"

namespace qkms::api::etsi014 {
namespace {

std::unexpected<Error> invalid(std::string text) { return fail(ErrorCode::kInvalid, std::move(text)); }

std::string element(std::string_view array, std::size_t index) {
  return std::string(array) + "[" + std::to_string(index) + "]";
}

Result<JsonObject> read_object(std::string_view json) {
  Result<JsonValue> value = read_json(json);
  if (!value) return std::unexpected(std::move(value.error()));
  auto* object = std::get_if<JsonObject>(&value->data);
  if (object == nullptr) return invalid("the body must be a JSON object");
  return std::move(*object);
}

// --- number and size
// ---------------------------------------------------------------------------------------------------------------

using Count = std::optional<std::uint64_t>;

Count count_member(const JsonObject& body, std::string_view name) {
  const JsonValue* value = find_member(body, name);
  if (value == nullptr) return std::nullopt;
  const auto* integer = value->get<std::int64_t>();
  return integer == nullptr || *integer < 0 ? kNoCount : static_cast<std::uint64_t>(*integer);
}

const std::string* find_parameter(const Parameters& query, std::string_view name) {
  const auto found = std::ranges::find(query, name, &Parameter::name);
  return found == query.end() ? nullptr : &found->value;
}

// The same texts that JSON takes as a non-negative integer: so no sign, no blank, no leading zero.
Count count_parameter(const Parameters& query, std::string_view name) {
  const std::string* text = find_parameter(query, name);
  if (text == nullptr) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (problem != std::errc() || end != text->data() + text->size()) return kNoCount;
  if (text->front() == '-' || (text->front() == '0' && text->size() > 1)) return kNoCount;
  return static_cast<std::uint64_t>(value);
}

// --- additional slaves and extensions
// ----------------------------------------------------------------------------------------------

Result<std::vector<SaeId>> additional_slaves_member(const JsonObject& body) {
  constexpr std::string_view kName = "additional_slave_SAE_IDs";
  std::vector<SaeId> slaves;
  const JsonValue* value = find_member(body, kName);
  if (value == nullptr) return slaves;
  const auto* array = value->get<JsonArray>();
  if (array == nullptr) return invalid(std::string(kName) + " must be an array of strings");
  for (std::size_t i = 0; i < array->size(); ++i) {
    const auto* text = (*array)[i].get<std::string>();
    if (text == nullptr) return invalid(element(kName, i) + " must be a string");
    Result<SaeId> id = SaeId::parse(*text);
    if (!id) return invalid(element(kName, i) + ": " + id.error().text);
    slaves.push_back(*std::move(id));
  }
  if (has_repetition(slaves)) return invalid(std::string(kName) + " names an SAE twice");
  return slaves;
}

// An empty array, or an array of empty objects, asks for nothing (shared decision 10).
Result<std::vector<Extension>> extensions_member(const JsonObject& body, std::string_view name) {
  std::vector<Extension> extensions;
  const JsonValue* value = find_member(body, name);
  if (value == nullptr) return extensions;
  const auto* array = value->get<JsonArray>();
  if (array == nullptr) return invalid(std::string(name) + " must be an array of objects");
  for (std::size_t i = 0; i < array->size(); ++i) {
    const auto* object = (*array)[i].get<JsonObject>();
    if (object == nullptr) return invalid(element(name, i) + " must be an object");
    for (const JsonMember& member : *object) extensions.push_back({member.name, member.value});
  }
  return extensions;
}

// --- key IDs
// -----------------------------------------------------------------------------------------------------------------------

Result<KeyId> parse_key_id(const std::string& text, const std::string& name) {
  const auto bytes = parse_uuid(text);
  if (!bytes) return invalid(name + " must be a UUID: hexadecimal digits in the 8-4-4-4-12 form");
  return KeyId(*bytes);
}

Result<KeyId> key_id_of(const JsonValue& value, std::size_t index) {
  const auto* object = value.get<JsonObject>();
  if (object == nullptr) return invalid(element("key_IDs", index) + " must be an object with a member key_ID");
  const std::string name = element("key_IDs", index) + ".key_ID";
  const JsonValue* member = find_member(*object, "key_ID");
  if (member == nullptr) return invalid(name + " is missing");
  const auto* text = member->get<std::string>();
  if (text == nullptr) return invalid(name + " must be a string");
  return parse_key_id(*text, name);
}

// Refuses parameters of the POST form: the standard keeps them out of GET, and ignoring them would answer another
// question than was asked. By prefix, since clients that serialise arrays and objects into a query append to the name.
Result<void> refuse_post_only(const Parameters& query, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const auto is_it = [&](const Parameter& parameter) { return parameter.name.starts_with(name); };
    if (std::ranges::any_of(query, is_it))
      return invalid(std::string(name) + " is accepted in the body of a POST only");
  }
  return {};
}

}  // namespace

Result<KeyRequestBody> parse_key_request_body(std::string_view json) {
  if (json.empty()) return KeyRequestBody{};
  const Result<JsonObject> body = read_object(json);
  if (!body) return std::unexpected(body.error());
  Result<std::vector<SaeId>> slaves = additional_slaves_member(*body);
  if (!slaves) return std::unexpected(std::move(slaves.error()));
  Result<std::vector<Extension>> mandatory = extensions_member(*body, "extension_mandatory");
  if (!mandatory) return std::unexpected(std::move(mandatory.error()));
  Result<std::vector<Extension>> optional = extensions_member(*body, "extension_optional");
  if (!optional) return std::unexpected(std::move(optional.error()));
  return KeyRequestBody{count_member(*body, "number"), count_member(*body, "size"), *std::move(slaves),
                        *std::move(mandatory), *std::move(optional)};
}

Result<KeyRequestBody> parse_key_request_query(const Parameters& query) {
  Result<void> checked = refuse_post_only(query, {"additional_slave_SAE_IDs", "extension_mandatory"});
  if (!checked) return std::unexpected(std::move(checked.error()));
  return KeyRequestBody{count_parameter(query, "number"), count_parameter(query, "size"), {}, {}, {}};
}

Result<std::vector<KeyId>> parse_key_ids_body(std::string_view json) {
  const Result<JsonObject> body = read_object(json);
  if (!body) return std::unexpected(body.error());
  const JsonValue* value = find_member(*body, "key_IDs");
  const auto* array = value == nullptr ? nullptr : value->get<JsonArray>();
  if (array == nullptr || array->empty())
    return invalid("key_IDs must be an array of at least one object with a member key_ID");
  std::vector<KeyId> ids;
  ids.reserve(array->size());
  for (std::size_t i = 0; i < array->size(); ++i) {
    const Result<KeyId> id = key_id_of((*array)[i], i);
    if (!id) return std::unexpected(id.error());
    ids.push_back(*id);
  }
  if (has_repetition(ids)) return invalid("key_IDs has a key_ID twice");
  return ids;
}

Result<std::vector<KeyId>> parse_key_ids_query(const Parameters& query) {
  Result<void> checked = refuse_post_only(query, {"key_IDs", "key_ID_extension"});
  if (!checked) return std::unexpected(std::move(checked.error()));
  const std::string* text = find_parameter(query, "key_ID");
  if (text == nullptr) return invalid("the query must have the parameter key_ID; use POST for several");
  const Result<KeyId> id = parse_key_id(*text, "key_ID");
  if (!id) return std::unexpected(id.error());
  return std::vector<KeyId>{*id};
}

}  // namespace qkms::api::etsi014
