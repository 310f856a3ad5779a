#include "server/setting_options.h"

#include <fmt/format.h>

namespace qkms::server {
namespace {

using drivers::Setting;

std::string accepted_by(const Setting& setting) {
  return fmt::format("{} to {}{}{}", setting.min, setting.max, setting.unit.empty() ? "" : " ", setting.unit);
}

// A number within the setting's range, written with or without a point.
std::optional<double> number_of(const Value& value, double min, double max) {
  double number = 0;
  if (const auto* real = std::get_if<double>(&value)) {
    number = *real;
  } else if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    number = static_cast<double>(*whole);
  } else {
    return std::nullopt;
  }
  if (!(number >= min && number <= max)) return std::nullopt;  // also refuses NaN
  return number;
}

template <class Number>
Option number(const Setting& setting, Number& target, Need need, double shown) {
  auto set = [&target, min = setting.min, max = setting.max](const Value& value) {
    const auto given = number_of(value, min, max);
    if (given) target = *given;
    return given.has_value();
  };
  return {std::string(setting.name), accepted_by(setting),          need,
          fmt::format("{}", shown),  std::string(setting.sentence), set};
}

Option option_of(const Setting& setting) {
  if (auto* const* target = std::get_if<double*>(&setting.target)) {
    return number(setting, **target, Need::kDefault, **target);
  }
  if (auto* const* target = std::get_if<std::optional<double>*>(&setting.target)) {
    return number(setting, **target, Need::kOptional, setting.example);
  }
  Choices<std::string> choices;
  for (const auto name : setting.choices) choices.emplace_back(name, std::string(name));
  return choice(setting.name, *std::get<std::string*>(setting.target), choices, setting.sentence);
}

}  // namespace

std::vector<Option> options_of(const std::vector<Setting>& settings) {
  std::vector<Option> options;
  for (const auto& setting : settings) options.push_back(option_of(setting));
  return options;
}

}  // namespace qkms::server
