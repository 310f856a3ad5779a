#include "api/etsi014/target.h"

#include <algorithm>
#include <optional>

#include "api/percent.h"
#include "api/repetition.h"

namespace qkms::api::etsi014 {
namespace {

// Calls `use` for each part between separators; a text without one is one part.
template <class Use>
void for_each_part(std::string_view text, char separator, Use use) {
  while (true) {
    const std::size_t end = text.find(separator);
    use(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

// RFC 3986 §3.3 and §3.4: what may stand in a path or a query. The rest, blanks and '#' among it, must come
// percent-encoded.
bool is_target_character(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return std::string_view("-._~!$&'()*+,;=:@/?%").contains(c);
}

// Removes scheme and authority of the absolute form. False if the target is in neither form.
bool reduce_to_origin_form(std::string_view& target) {
  if (target.starts_with('/')) return true;
  for (const std::string_view scheme : {"https://", "http://"}) {
    const auto same_letter = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
    if (!std::ranges::equal(target.substr(0, scheme.size()), scheme, same_letter)) continue;
    const std::size_t path = target.find_first_of("/?", scheme.size());
    if (path == scheme.size() || path == std::string_view::npos || target[path] != '/') return false;
    const auto is_host_character = [](char c) { return is_target_character(c) || c == '[' || c == ']'; };
    if (!std::ranges::all_of(target.substr(scheme.size(), path - scheme.size()), is_host_character)) return false;
    target.remove_prefix(path);
    return true;
  }
  return false;
}

std::optional<Operation> operation_named(std::string_view name) {
  if (name == "status") return Operation::kStatus;
  if (name == "enc_keys") return Operation::kEncKeys;
  if (name == "dec_keys") return Operation::kDecKeys;
  return std::nullopt;
}

// "." and ".." are legal IDs, but RFC 3986 §6.2.2 lets any proxy on the way resolve them, encoded or not.
Result<SaeId> parse_id(std::string_view text) {
  if (text == "." || text == "..") return fail(ErrorCode::kInvalid, "the SAE ID in the path is a dot segment");
  Result<SaeId> id = SaeId::parse(text);
  if (!id) return fail(ErrorCode::kInvalid, "the SAE ID in the path: " + id.error().text);
  return id;
}

// ETSI GS QKD 014 V1.1.1 §5: /api/v1/keys/{SAE ID}/{operation}.
Result<Target> parse_path(std::string_view path) {
  std::vector<std::string> segments;
  std::optional<Error> problem;
  for_each_part(path.substr(1), '/', [&](std::string_view raw) {
    Result<std::string> segment = percent_decode(raw);
    if (segment) {
      segments.push_back(*std::move(segment));
    } else {
      problem = std::move(segment.error());
    }
  });
  if (problem) return std::unexpected(*std::move(problem));
  const auto unknown = [] { return fail(ErrorCode::kNotFound, "there is nothing at this path"); };
  if (segments.size() != 5 || segments[0] != "api" || segments[1] != "v1" || segments[2] != "keys") return unknown();
  const std::optional<Operation> operation = operation_named(segments[4]);
  if (!operation) return unknown();
  Result<SaeId> id = parse_id(segments[3]);
  if (!id) return std::unexpected(std::move(id.error()));
  return Target{.operation = *operation, .sae = *std::move(id), .query = {}};
}

Result<Parameter> parse_parameter(std::string_view text) {
  const std::size_t equals = text.find('=');
  Result<std::string> name = percent_decode(text.substr(0, equals));
  if (!name) return std::unexpected(std::move(name.error()));
  Result<std::string> value = percent_decode(equals == std::string_view::npos ? "" : text.substr(equals + 1));
  if (!value) return std::unexpected(std::move(value.error()));
  return Parameter{*std::move(name), *std::move(value)};
}

Result<Parameters> parse_query(std::string_view query) {
  Parameters parameters;
  std::optional<Error> problem;
  for_each_part(query, '&', [&](std::string_view text) {
    if (text.empty()) return;
    Result<Parameter> parameter = parse_parameter(text);
    if (parameter) {
      parameters.push_back(*std::move(parameter));
    } else {
      problem = std::move(parameter.error());
    }
  });
  if (problem) return std::unexpected(*std::move(problem));
  if (has_repetition(parameters, &Parameter::name)) return fail(ErrorCode::kInvalid, "the query has a parameter twice");
  return parameters;
}

}  // namespace

Result<Target> parse_target(std::string_view target) {
  if (!reduce_to_origin_form(target)) return fail(ErrorCode::kInvalid, "the request target is no path");
  if (!std::ranges::all_of(target, is_target_character)) {
    return fail(ErrorCode::kInvalid, "the request target has a character that must be percent-encoded");
  }
  const std::size_t question = target.find('?');
  Result<Target> parsed = parse_path(target.substr(0, question));
  if (!parsed || question == std::string_view::npos) return parsed;
  Result<Parameters> query = parse_query(target.substr(question + 1));
  if (!query) return std::unexpected(std::move(query.error()));
  parsed->query = *std::move(query);
  return parsed;
}

}  // namespace qkms::api::etsi014
