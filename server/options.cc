#include "server/options.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "api/http_text.h"
#include "base/text.h"

namespace qkms::server {

namespace {

constexpr std::size_t kMaxTextBytes = 4096;  // PATH_MAX; nothing in the file needs more
constexpr std::size_t kMaxNames = 4096;

std::string in_quotes(std::string_view text) { return '"' + std::string(text) + '"'; }

bool is_plain_text(std::string_view text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  return !text.empty() && text.size() <= kMaxTextBytes && std::ranges::none_of(text, is_control);
}

struct HostPort {
  std::string_view host;
  std::uint16_t port = 0;
  bool bracketed = false;
};

// Splits host:port and [v6]:port; says nothing about the host yet.
std::optional<HostPort> split_host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  HostPort out{text.substr(0, colon), 0, false};
  const std::string_view digits = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  if (out.host.starts_with('[') && out.host.ends_with(']')) {
    out.host = out.host.substr(1, out.host.size() - 2);
    out.bracketed = true;
  }
  return out;
}

bool is_ip(const HostPort& at) {
  in6_addr space;
  const std::string host(at.host);
  return inet_pton(at.bracketed ? AF_INET6 : AF_INET, host.c_str(), &space) == 1;
}

bool is_host_name(std::string_view host) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
  };
  return !host.empty() && host.size() <= 253 && std::ranges::all_of(host, allowed);
}

}  // namespace

std::string describe(const Bounds& bounds) {
  std::string out = fmt::format("{} to {}", bounds.min, bounds.max);
  if (!bounds.unit.empty()) out += fmt::format(" {}", bounds.unit);
  if (bounds.multiple_of != 1) out += fmt::format(", a multiple of {}", bounds.multiple_of);
  return out;
}

bool within(const Bounds& bounds, std::int64_t value) {
  return value >= bounds.min && value <= bounds.max && value % bounds.multiple_of == 0;
}

Option path(std::string_view name, std::filesystem::path& target, std::string_view example, std::string_view sentence) {
  auto set = [&target](const Value& value) {
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr || !is_plain_text(*given)) return false;
    target = *given;
    return true;
  };
  return {std::string(name),     "a path; a relative one starts at the folder of this file",
          Need::kRequired,       in_quotes(example),
          std::string(sentence), set};
}

Option optional_path(std::string_view name, std::filesystem::path& target, std::string_view example,
                     std::string_view sentence) {
  Option option = path(name, target, example, sentence);
  option.need = Need::kOptional;
  return option;
}

Option text(std::string_view name, std::string& target, std::string_view example, std::string_view sentence) {
  auto set = [&target](const Value& value) {
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr || !is_plain_text(*given)) return false;
    target = *given;
    return true;
  };
  return {std::string(name),  "a text that is not empty", Need::kRequired,
          in_quotes(example), std::string(sentence),      set};
}

Option names(std::string_view name, std::vector<std::string>& target, std::string_view sentence) {
  auto set = [&target](const Value& value) {
    const auto* given = std::get_if<std::vector<std::string>>(&value);
    if (given == nullptr || given->size() > kMaxNames || !std::ranges::all_of(*given, is_valid_id)) return false;
    target = *given;
    return true;
  };
  return {std::string(name),     fmt::format("a list of names, each {}", kIdAccepted),
          Need::kDefault,        "[]",
          std::string(sentence), set};
}

Option probability(std::string_view name, double& target, std::string_view sentence) {
  auto set = [&target](const Value& value) {
    const auto* real = std::get_if<double>(&value);
    const auto* whole = std::get_if<std::int64_t>(&value);
    if (real == nullptr && whole == nullptr) return false;
    const double given = real != nullptr ? *real : static_cast<double>(*whole);
    if (!(given >= 0 && given <= 1)) return false;  // also refuses NaN
    target = given;
    return true;
  };
  return {std::string(name), "0 to 1", Need::kDefault, fmt::format("{:.1f}", target), std::string(sentence), set};
}

Option listen_at(std::string_view name, std::string& address, std::uint16_t& port, std::string_view example,
                 std::string_view sentence) {
  auto set = [&address, &port](const Value& value) {
    const auto* given = std::get_if<std::string>(&value);
    const auto at = given != nullptr ? split_host_port(*given) : std::nullopt;
    if (!at || !is_ip(*at)) return false;
    address = at->host;
    port = at->port;
    return true;
  };
  return {std::string(name),     "an IP address and a port, as 0.0.0.0:8443 or [::1]:8443; port 0 takes any free one",
          Need::kRequired,       in_quotes(example),
          std::string(sentence), set};
}

Option connect_to(std::string_view name, std::optional<std::string>& target, std::string_view example,
                  std::string_view sentence) {
  auto set = [&target](const Value& value) {
    const auto* given = std::get_if<std::string>(&value);
    const auto at = given != nullptr ? split_host_port(*given) : std::nullopt;
    if (!at || at->port == 0 || !(at->bracketed ? is_ip(*at) : is_host_name(at->host))) return false;
    target = *given;
    return true;
  };
  return {std::string(name),
          "a host name or IP address and a port from 1 to 65535, as kme-b.example:8444 or [2001:db8::1]:8444",
          Need::kSometimes,
          in_quotes(example),
          std::string(sentence),
          set};
}

Option https_url(std::string_view name, std::string& host, std::uint16_t& port, std::string& url_path,
                 std::string_view example, std::string_view sentence) {
  auto set = [&host, &port, &url_path](const Value& value) {
    const auto* given = std::get_if<std::string>(&value);
    auto url = given != nullptr ? api::parse_https_url(*given) : std::nullopt;
    if (!url) return false;
    host = std::move(url->host);
    port = url->port;
    url_path = std::move(url->path);
    return true;
  };
  return {std::string(name),     "https://HOST, with or without a port and a path",
          Need::kRequired,       in_quotes(example),
          std::string(sentence), set};
}

Option fingerprint(std::string_view name, std::string& target, std::string_view sentence) {
  auto set = [&target](const Value& value) {
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr) return false;
    std::string digits;
    for (char c : *given) {
      if (c == ':') continue;
      if (hex_value(c) < 0) return false;
      digits += kHexDigits[static_cast<std::size_t>(hex_value(c))];
    }
    if (digits.size() != 64) return false;
    target = digits;
    return true;
  };
  return {std::string(name),     "the certificate's SHA-256 as 64 hexadecimal digits, colons allowed",
          Need::kOptional,       in_quotes(std::string(62, '0') + "a1"),
          std::string(sentence), set};
}

Option master_key(std::string_view name, storage::MasterKeySource& target, std::string_view example,
                  std::string_view sentence) {
  auto set = [&target](const Value& value) {
    const auto* given = std::get_if<std::string>(&value);
    if (given == nullptr) return false;
    auto source = storage::parse_master_key_source(*given);
    if (!source) return false;
    target = std::move(*source);
    return true;
  };
  return {std::string(name),
          fmt::format("{}; a relative path starts at the folder of this file", storage::kMasterKeyAccepted),
          Need::kRequired,
          in_quotes(example),
          std::string(sentence),
          set};
}

namespace {

// Levenshtein's distance, one row at a time.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  if (word.size() > 64) return "";
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 2);
  for (const auto candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance >= best_distance && !(best.empty() && distance == best_distance)) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

}  // namespace qkms::server
