// Command lines as a table: what an option is called, whether it must be there, and its sentence for --help.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace qkms::cli {

enum class Given { kOnce, kAtMostOnce, kAnyTimes };

struct OptionSpec {
  std::string_view name;   // "--out"
  std::string_view value;  // what --help calls its value: "DIR"; "" for an option without one
  Given given;
  std::string_view sentence;
};

struct ArgumentSpec {
  std::vector<OptionSpec> options;
  std::vector<std::string_view> positional;  // all of them required
};

struct Arguments {
  std::map<std::string, std::vector<std::string>, std::less<>> options;
  std::vector<std::string> positional;

  std::vector<std::string> all(std::string_view option) const;
  // "" when it was not given.
  std::string one(std::string_view option) const;
  bool has(std::string_view option) const { return options.contains(option); }
};

// Reads "--name value", "--name=value" and, after "--", positional arguments only.
Result<Arguments> parse_arguments(const ArgumentSpec& spec, std::span<const std::string> words);

// "--timeout SECONDS" in milliseconds.
Result<int> timeout_ms(const Arguments& arguments, int default_seconds);

// The table as text: "  --out DIR   sentence" lines.
std::string describe(const ArgumentSpec& spec);

}  // namespace qkms::cli
