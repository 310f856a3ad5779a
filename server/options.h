// One option of the configuration file as data: name, accepted values, default, a sentence, and where its value goes.
// Parsing, error messages and the reference configuration all come from this, so that they cannot disagree. The default
// is whatever the target holds when the option is made: defaults are written once, in the structs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/id.h"
#include "storage/master_key_source.h"

namespace qkms::server {

// A value in the file, whatever its library calls it. monostate: of a type that no option has.
using Value = std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<std::string>>;

enum class Need {
  kRequired,   // an error when absent; `shown` is an example
  kSometimes,  // required in some cases, which config_check.cc knows; `shown` is an example
  kDefault,    // `shown` is the default
  kOptional,   // may be absent and has no default; `shown` is an example
};

struct Option {
  std::string name;
  std::string accepted;  // "64 to 4096 bits, a multiple of 8"
  Need need;
  std::string shown;  // as TOML
  std::string sentence;
  std::function<bool(const Value&)> set;  // false: not accepted, and the target is as it was
};

// --- makers; `target` must outlive the option
// ------------------------------------------------------------------------------------

struct Bounds {
  std::int64_t min = 0;
  std::int64_t max = 0;
  std::string_view unit = {};
  std::int64_t multiple_of = 1;
};
std::string describe(const Bounds& bounds);
bool within(const Bounds& bounds, std::int64_t value);

template <class Integer>
Option integer(std::string_view name, Integer& target, Bounds bounds, std::string_view sentence) {
  auto set = [&target, bounds](const Value& value) {
    const auto* number = std::get_if<std::int64_t>(&value);
    if (number == nullptr || !within(bounds, *number)) return false;
    target = static_cast<Integer>(*number);
    return true;
  };
  return {std::string(name), describe(bounds), Need::kDefault, std::to_string(target), std::string(sentence), set};
}

template <class Enum>
using Choices = std::vector<std::pair<std::string_view, Enum>>;

template <class Enum>
Option choice(std::string_view name, Enum& target, const Choices<Enum>& choices, std::string_view sentence) {
  std::string accepted, shown;
  for (const auto& [text, value] : choices) {
    accepted += (accepted.empty() ? "\"" : ", \"") + std::string(text) + '"';
    if (value == target) shown = '"' + std::string(text) + '"';
  }
  auto set = [&target, choices](const Value& value) {
    const auto* chosen = std::get_if<std::string>(&value);
    for (const auto& [text, meaning] : choices) {
      if (chosen == nullptr || *chosen != text) continue;
      target = meaning;
      return true;
    }
    return false;
  };
  return {std::string(name), accepted, Need::kDefault, shown, std::string(sentence), set};
}

inline constexpr std::string_view kIdAccepted = "1 to 320 characters of printable ASCII without a blank at either end";

template <class Id>
Option identifier(std::string_view name, Id& target, std::string_view example, std::string_view sentence) {
  auto set = [&target](const Value& value) {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) return false;
    auto id = Id::parse(*text);
    if (!id) return false;
    target = std::move(*id);
    return true;
  };
  return {std::string(name),     std::string(kIdAccepted),
          Need::kRequired,       '"' + std::string(example) + '"',
          std::string(sentence), set};
}

Option path(std::string_view name, std::filesystem::path& target, std::string_view example, std::string_view sentence);
Option optional_path(std::string_view name, std::filesystem::path& target, std::string_view example,
                     std::string_view sentence);
Option text(std::string_view name, std::string& target, std::string_view example, std::string_view sentence);
Option names(std::string_view name, std::vector<std::string>& target, std::string_view sentence);
Option probability(std::string_view name, double& target, std::string_view sentence);

// An IP address and a port to listen at, as 0.0.0.0:8443 or [::1]:8443.
Option listen_at(std::string_view name, std::string& address, std::uint16_t& port, std::string_view example,
                 std::string_view sentence);
// host:port to connect to.
Option connect_to(std::string_view name, std::optional<std::string>& target, std::string_view example,
                  std::string_view sentence);
// https://HOST[:PORT][/PATH], without a slash at the end of the path.
Option https_url(std::string_view name, std::string& host, std::uint16_t& port, std::string& url_path,
                 std::string_view example, std::string_view sentence);
// SHA-256 of a certificate; becomes 64 lower-case hexadecimal digits.
Option fingerprint(std::string_view name, std::string& target, std::string_view sentence);

// Where a master key comes from.
Option master_key(std::string_view name, storage::MasterKeySource& target, std::string_view example,
                  std::string_view sentence);

// The candidate that `word` is most likely a misspelling of, or "" when none is near.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace qkms::server
