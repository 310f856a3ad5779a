#include "server/extensions.h"

#include <algorithm>

namespace qkms::server {
namespace {

constexpr Millis kLongestAgeMs = Millis{366} * 24 * 3600 * 1000;
constexpr std::size_t kMostNamed = 8;

std::unexpected<Error> not_accepted(std::string_view name, std::string_view accepted) {
  return fail(ErrorCode::kInvalid, std::string(name) + "; accepted: " + std::string(accepted));
}

Result<void> read_route_type(const api::JsonValue& value, kms::Conditions& into) {
  const auto* text = value.get<std::string>();
  if (text != nullptr && *text == "any") {
    into.route_type = kms::RouteType::kAny;
  } else if (text != nullptr && *text == "direct") {
    into.route_type = kms::RouteType::kDirect;
  } else if (text != nullptr && *text == "indirect") {
    into.route_type = kms::RouteType::kIndirect;
  } else {
    return not_accepted(kRouteTypeExtension, "\"direct\", \"indirect\" or \"any\"");
  }
  return {};
}

Result<void> read_max_age(const api::JsonValue& value, kms::Conditions& into) {
  const auto* age = value.get<std::int64_t>();
  if (age == nullptr || *age < 1 || *age > kLongestAgeMs)
    return not_accepted(kMaxAgeExtension, "1 to " + std::to_string(kLongestAgeMs) + " milliseconds, an integer");
  into.max_age_ms = *age;
  return {};
}

Result<void> read_one(ExtensionMeaning meaning, const api::JsonValue& value, kms::Conditions& into) {
  switch (meaning) {
    case ExtensionMeaning::kRouteType:
      return read_route_type(value, into);
    case ExtensionMeaning::kMaxAge:
      return read_max_age(value, into);
  }
  return fail(ErrorCode::kInternal, "no such extension");
}

}  // namespace

ExtensionNames standard_extensions() {
  return {{std::string(kRouteTypeExtension), ExtensionMeaning::kRouteType},
          {std::string(kMaxAgeExtension), ExtensionMeaning::kMaxAge}};
}

std::vector<std::string> unsupported(Extensions mandatory, const ExtensionNames& names) {
  std::vector<std::string> unknown;
  for (const auto& [name, value] : mandatory) {
    const bool known = names.contains(name) || std::ranges::find(unknown, name) != unknown.end();
    if (!known && unknown.size() < kMostNamed) unknown.push_back(name);
  }
  return unknown;
}

Result<kms::Conditions> read_mandatory(Extensions mandatory, const ExtensionNames& names) {
  kms::Conditions conditions;
  std::vector<ExtensionMeaning> seen;
  for (const auto& [name, value] : mandatory) {
    const ExtensionMeaning meaning = names.at(name);
    if (std::ranges::find(seen, meaning) != seen.end())
      return fail(ErrorCode::kInvalid, "extension_mandatory asks for the same thing twice");
    seen.push_back(meaning);
    if (auto read = read_one(meaning, value, conditions); !read) return std::unexpected(std::move(read.error()));
  }
  return conditions;
}

kms::Conditions read_optional(Extensions optional, const ExtensionNames& names) {
  kms::Conditions conditions;
  for (const auto& [name, value] : optional) {
    const auto meaning = names.find(name);
    if (meaning != names.end()) static_cast<void>(read_one(meaning->second, value, conditions));
  }
  return conditions;
}

}  // namespace qkms::server
