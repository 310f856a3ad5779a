#include "cli/arguments.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/http_text.h"
#include "base/text.h"

namespace qkms::cli {

namespace {

std::unexpected<Error> refuse(std::string text) { return fail(ErrorCode::kInvalid, std::move(text)); }

// One "--name value" or "--name=value" that starts at words[at]; moves `at` past it.
Result<void> read_option(const ArgumentSpec& spec, std::span<const std::string> words, std::size_t& at,
                         Arguments& out) {
  const std::string_view word = words[at++];
  const auto equals = word.find('=');
  const std::string_view name = word.substr(0, equals);
  const auto option = std::ranges::find(spec.options, name, &OptionSpec::name);
  if (option == spec.options.end()) return refuse(fmt::format("unknown option {}", printable(name)));
  const bool has_value = !option->value.empty(), is_here = equals != std::string_view::npos;
  if (!has_value && is_here) return refuse(fmt::format("{} takes no value", name));
  if (has_value && !is_here && at == words.size()) return refuse(fmt::format("{} needs {}", name, option->value));
  std::string value = is_here ? std::string(word.substr(equals + 1)) : has_value ? words[at++] : "";
  auto& values = out.options[std::string(name)];
  if (option->given != Given::kAnyTimes && !values.empty()) return refuse(fmt::format("{} is given twice", name));
  values.push_back(std::move(value));
  return {};
}

}  // namespace

std::vector<std::string> Arguments::all(std::string_view option) const {
  const auto found = options.find(option);
  return found == options.end() ? std::vector<std::string>() : found->second;
}

std::string Arguments::one(std::string_view option) const {
  const auto found = options.find(option);
  return found == options.end() ? "" : found->second.front();
}

Result<Arguments> parse_arguments(const ArgumentSpec& spec, std::span<const std::string> words) {
  Arguments out;
  bool only_positional = false;
  for (std::size_t at = 0; at < words.size();) {
    if (!only_positional && words[at] == "--") {
      only_positional = true;
      ++at;
    } else if (!only_positional && words[at].starts_with("-") && words[at].size() > 1) {
      if (auto read = read_option(spec, words, at, out); !read) return std::unexpected(read.error());
    } else {
      out.positional.push_back(words[at++]);
    }
  }
  for (const auto& option : spec.options) {
    if (option.given == Given::kOnce && !out.has(option.name))
      return refuse(fmt::format("{} {} is missing", option.name, option.value));
  }
  if (out.positional.size() < spec.positional.size())
    return refuse(fmt::format("{} is missing", spec.positional[out.positional.size()]));
  if (out.positional.size() > spec.positional.size()) {
    return refuse(fmt::format("unexpected \"{}\"", printable(out.positional[spec.positional.size()])));
  }
  return out;
}

Result<int> timeout_ms(const Arguments& arguments, int default_seconds) {
  constexpr int kMaxSeconds = 600;
  if (!arguments.has("--timeout")) return default_seconds * 1000;
  int seconds = 0;
  if (api::parse_number(arguments.one("--timeout"), seconds) && seconds >= 1 && seconds <= kMaxSeconds)
    return seconds * 1000;
  return refuse(fmt::format("--timeout; accepted: 1 to {} seconds", kMaxSeconds));
}

std::string describe(const ArgumentSpec& spec) {
  std::string out;
  for (const auto& option : spec.options) {
    out += fmt::format("  {:<20} {}{}\n", fmt::format("{} {}", option.name, option.value), option.sentence,
                       option.given == Given::kOnce ? " Required." : "");
  }
  return out;
}

}  // namespace qkms::cli
