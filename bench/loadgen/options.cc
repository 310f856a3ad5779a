// One table says how each option is called, what it takes and what it does; the help text comes from it.
#include "bench/loadgen/options.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <string_view>

namespace qkms::bench {
namespace {

template <class Number>
Result<void> set_number(Number& out, std::string_view text, Number least, Number most) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= least && value <= most)) {
    return fail(ErrorCode::kInvalid, fmt::format("'{}' is not a number from {} to {}", text, least, most));
  }
  out = value;
  return {};
}

template <class Number>
Result<void> set_number(std::optional<Number>& out, std::string_view text, Number least, Number most) {
  return set_number(out.emplace(), text, least, most);
}

Result<void> set_text(std::string& out, std::string_view text) {
  out = text;
  return {};
}

Result<void> set_target(Options& o, std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size()) {
    return fail(ErrorCode::kInvalid, fmt::format("'{}' is not host:port", text));
  }
  o.host = text.substr(0, colon);
  o.port = text.substr(colon + 1);
  return {};
}

Result<void> set_scenario(Options& o, std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, Scenario>, 4> kNames{
      {{"static", Scenario::kStatic},
       {"status", Scenario::kStatus},
       {"get_key", Scenario::kGetKey},
       {"get_key_with_ids", Scenario::kGetKeyWithIds}}};
  for (const auto& [name, scenario] : kNames) {
    if (name != text) continue;
    o.scenario = scenario;
    return {};
  }
  return fail(ErrorCode::kInvalid, fmt::format("'{}' is none of static, status, get_key, get_key_with_ids", text));
}

struct Option {
  std::string_view name;
  std::string_view argument;  // empty: takes none
  std::string_view help;
  Result<void> (*set)(Options&, std::string_view);
};

using Text = std::string_view;
constexpr double kMaxSeconds = 86'400;

constexpr Option kOptions[] = {
    {"--target", "HOST:PORT", "the server", set_target},
    {"--cert", "FILE", "client certificate, PEM", [](Options& o, Text t) { return set_text(o.certificate_file, t); }},
    {"--key", "FILE", "its key, PEM", [](Options& o, Text t) { return set_text(o.key_file, t); }},
    {"--ca", "FILE", "CA of the server's certificate; without it the server is not verified",
     [](Options& o, Text t) { return set_text(o.ca_file, t); }},
    {"--groups", "LIST", "TLS key exchange groups (default P-256)",
     [](Options& o, Text t) { return set_text(o.groups, t); }},
    {"--connections", "N", "at the same time (default 1)",
     [](Options& o, Text t) { return set_number(o.connections, t, 1U, 20'000U); }},
    {"--threads", "N", "that share the connections (default 1)",
     [](Options& o, Text t) { return set_number(o.threads, t, 1U, 64U); }},
    {"--new-connection-per-request", "", "a full handshake for each request",
     [](Options& o, Text) -> Result<void> {
       o.connection_use = ConnectionUse::kNewPerRequest;
       return {};
     }},
    {"--requests", "N", "end after so many measured requests",
     [](Options& o, Text t) { return set_number<std::uint64_t>(o.requests, t, 1, 1'000'000'000); }},
    {"--seconds", "S", "end after so long, warm-up not counted (default 10)",
     [](Options& o, Text t) { return set_number(o.seconds, t, 0.01, kMaxSeconds); }},
    {"--warmup", "S", "seconds of load before measuring (default 1)",
     [](Options& o, Text t) { return set_number(o.warmup_seconds, t, 0.0, kMaxSeconds); }},
    {"--rate", "R", "open loop: requests a second, latency counted from when each was due",
     [](Options& o, Text t) { return set_number(o.rate, t, 0.01, 10'000'000.0); }},
    {"--timeout-ms", "MS", "for connecting and for each request (default 10000)",
     [](Options& o, Text t) { return set_number(o.timeout_ms, t, 1U, 600'000U); }},
    {"--scenario", "NAME", "static (default), status, get_key, get_key_with_ids", set_scenario},
    {"--method", "METHOD", "static: default GET", [](Options& o, Text t) { return set_text(o.method, t); }},
    {"--path", "PATH", "static: request target, default /", [](Options& o, Text t) { return set_text(o.path, t); }},
    {"--body", "TEXT", "static: sent as application/json", [](Options& o, Text t) { return set_text(o.body, t); }},
    {"--sae", "ID", "the other SAE, as it stands in the path", [](Options& o, Text t) { return set_text(o.sae, t); }},
    {"--keys", "N", "in each request (default 1)",
     [](Options& o, Text t) { return set_number(o.keys, t, 1U, 4'096U); }},
    {"--key-bits", "BITS", "get_key: size of a key (default 256)",
     [](Options& o, Text t) { return set_number(o.key_bits, t, 8U, 1U << 20); }},
    {"--ids-in", "FILE", "get_key_with_ids: key IDs to ask for",
     [](Options& o, Text t) { return set_text(o.ids_in, t); }},
    {"--ids-out", "FILE", "get_key: where the answers' key IDs go",
     [](Options& o, Text t) { return set_text(o.ids_out, t); }},
    {"--max-ids", "N", "kept for --ids-out (default 8000000); more are let go",
     [](Options& o, Text t) { return set_number<std::uint64_t>(o.max_ids, t, 1, 1'000'000'000); }},
};

const Option* find_option(std::string_view name) {
  for (const Option& option : kOptions) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

Result<void> check_together(const Options& o) {
  if (o.host.empty()) return fail(ErrorCode::kInvalid, "--target is missing");
  if (o.certificate_file.empty() != o.key_file.empty())
    return fail(ErrorCode::kInvalid, "--cert and --key go together");
  if (o.threads > o.connections) return fail(ErrorCode::kInvalid, "--threads must not exceed --connections");
  if (o.scenario != Scenario::kStatic && o.sae.empty()) return fail(ErrorCode::kInvalid, "this scenario needs --sae");
  if ((o.scenario == Scenario::kGetKeyWithIds) == o.ids_in.empty()) {
    return fail(ErrorCode::kInvalid, "--ids-in and the scenario get_key_with_ids go together");
  }
  if (o.scenario != Scenario::kGetKey && !o.ids_out.empty()) {
    return fail(ErrorCode::kInvalid, "--ids-out needs the scenario get_key");
  }
  return {};
}

}  // namespace

Result<Options> parse_options(std::span<char*> arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view name = arguments[i];
    const Option* option = find_option(name);
    if (option == nullptr) return fail(ErrorCode::kInvalid, fmt::format("unknown option '{}'", name));
    std::string_view argument;
    if (!option->argument.empty()) {
      if (++i == arguments.size()) return fail(ErrorCode::kInvalid, fmt::format("{} needs {}", name, option->argument));
      argument = arguments[i];
    }
    if (auto set = option->set(options, argument); !set) {
      return fail(set.error().code, fmt::format("{}: {}", name, set.error().text));
    }
  }
  if (auto checked = check_together(options); !checked) return std::unexpected(checked.error());
  return options;
}

std::string usage() {
  std::string text = "qkms-loadgen: HTTPS load with client certificates; prints one JSON object\n";
  for (const Option& option : kOptions) {
    text += fmt::format("  {:<34}{}\n", fmt::format("{} {}", option.name, option.argument), option.help);
  }
  return text;
}

}  // namespace qkms::bench
