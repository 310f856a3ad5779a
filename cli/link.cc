#include "cli/link.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "api/json_reader.h"
#include "api/percent.h"

namespace qkms::cli {
namespace {

using api::JsonArray;
using api::JsonObject;
using api::JsonValue;

constexpr api::JsonLimits kLimits{.max_depth = 8, .max_values = 1'000'000};

Result<JsonArray> read_links(std::string_view json) {
  auto value = api::read_json(json, kLimits);
  if (!value) return fail(ErrorCode::kCorrupt, "the daemon's answer is no JSON: " + value.error().text);
  if (auto* links = std::get_if<JsonArray>(&value->data)) return std::move(*links);
  return fail(ErrorCode::kCorrupt, "the daemon's answer is no list of links");
}

// "" when it is not there: an older daemon says less.
std::string text_of(const JsonObject& object, std::string_view name) {
  const JsonValue* value = api::find_member(object, name);
  if (value == nullptr) return "";
  if (const auto* text = value->get<std::string>()) return *text;
  if (const auto* number = value->get<std::int64_t>()) return fmt::format("{}", *number);
  if (const auto* truth = value->get<bool>()) return *truth ? "yes" : "no";
  return "?";
}

const JsonArray& list_of(const JsonObject& object, std::string_view name) {
  static const JsonArray kNone;
  const JsonValue* value = api::find_member(object, name);
  const auto* list = value == nullptr ? nullptr : value->get<JsonArray>();
  return list == nullptr ? kNone : *list;
}

std::int64_t number_of(const JsonObject& object, std::string_view name) {
  const JsonValue* value = api::find_member(object, name);
  const auto* number = value == nullptr ? nullptr : value->get<std::int64_t>();
  return number == nullptr ? 0 : *number;
}

std::string rate_text(std::int64_t bps) {
  if (bps < 10'000) return fmt::format("{} bit/s", bps);
  if (bps < 10'000'000) return fmt::format("{} kbit/s", bps / 1000);
  return fmt::format("{} Mbit/s", bps / 1'000'000);
}

std::string qber_text(const JsonObject& link) {
  if (api::find_member(link, "qber_ppm") == nullptr) return "-";
  return fmt::format("{:.2f} %", static_cast<double>(number_of(link, "qber_ppm")) / 1e4);
}

std::string age_text(const JsonObject& link, std::string_view name) {
  const std::string seconds = text_of(link, name);
  return seconds.empty() ? "never" : seconds + " s ago";
}

std::string alarms_text(const JsonObject& link) {
  std::string text;
  for (const JsonValue& alarm : list_of(link, "alarms")) {
    if (const auto* object = alarm.get<JsonObject>()) text += (text.empty() ? "" : ",") + text_of(*object, "alarm");
  }
  if (!text_of(link, "held").empty()) text += text.empty() ? "held" : ",held";
  return text.empty() ? "ok" : text;
}

std::string row(std::string_view link, std::string_view peer, std::string_view driver, std::string_view state,
                std::string_view rate, std::string_view qber, std::string_view last, std::string_view alarms) {
  return fmt::format("{:<20} {:<16} {:<10} {:<8} {:>12} {:>8} {:>12}  {}\n", link, peer, driver, state, rate, qber,
                     last, alarms);
}

std::string row_of(const JsonObject& link) {
  const bool simulated = text_of(link, "simulated") == "yes";
  return row(text_of(link, "link"), text_of(link, "peer"), text_of(link, "driver"), text_of(link, "state"),
             rate_text(number_of(link, "rate_bps")), qber_text(link), age_text(link, "last_block_s"),
             alarms_text(link) + (simulated ? "  SIMULATED: NOT SECRET" : ""));
}

// One line for each thing, in the order in which an operator asks.
std::string details_of(const JsonObject& link) {
  std::string out;
  const auto line = [&out](std::string_view name, std::string_view value) {
    if (!value.empty()) out += fmt::format("{:<14} {}\n", name, value);
  };
  line("link", text_of(link, "link"));
  line("peer", text_of(link, "peer"));
  line("driver", text_of(link, "driver") + (text_of(link, "simulated") == "yes" ? "  SIMULATED: NOT SECRET" : ""));
  line("state", text_of(link, "state"));
  line("error", text_of(link, "error"));
  line("held", text_of(link, "held"));
  line("restarts", text_of(link, "restarts"));
  line("rate", rate_text(number_of(link, "rate_bps")) + " let in over the last minute");
  if (api::find_member(link, "device_rate_bps") != nullptr)
    line("device rate", rate_text(number_of(link, "device_rate_bps")));
  line("QBER", qber_text(link));
  line("last block", age_text(link, "last_block_s"));
  line("let in", fmt::format("{} blocks, {} bytes", number_of(link, "blocks"), number_of(link, "bytes")));
  line("quarantined", text_of(link, "quarantined"));
  line("rejected", text_of(link, "rejected"));
  for (const char* name : {"accepted", "mismatched", "expired", "repeated", "refused", "waiting"})
    line(name, text_of(link, name));
  for (const JsonValue& alarm : list_of(link, "alarms")) {
    if (const auto* object = alarm.get<JsonObject>())
      line("ALARM", text_of(*object, "alarm") + ": " + text_of(*object, "text"));
  }
  for (const JsonValue& incident : list_of(link, "incidents")) {
    if (const auto* object = incident.get<JsonObject>())
      line("incident", age_text(*object, "s_ago") + ": " + text_of(*object, "text"));
  }
  return out;
}

}  // namespace

Result<std::string> link_table(std::string_view json) {
  const auto links = read_links(json);
  if (!links) return std::unexpected(links.error());
  if (links->empty()) return "no links are configured\n";
  std::string out = row("LINK", "PEER", "DRIVER", "STATE", "RATE", "QBER", "LAST BLOCK", "ALARMS");
  for (const JsonValue& link : *links) {
    if (const auto* object = link.get<JsonObject>()) out += row_of(*object);
  }
  return out;
}

Result<std::string> link_details(std::string_view json, std::string_view link) {
  const auto links = read_links(json);
  if (!links) return std::unexpected(links.error());
  for (const JsonValue& one : *links) {
    const auto* object = one.get<JsonObject>();
    if (object != nullptr && text_of(*object, "link") == link) return details_of(*object);
  }
  return fail(ErrorCode::kNotFound, "no link has this name; try: qkmsctl link list");
}

Result<void> link(std::string_view what, const std::string& link, const AskForLinks& ask) {
  const bool test = what == "test";
  const auto answer = test ? ask("POST", "/test-link?link=" + api::percent_encode(link)) : ask("GET", "/links");
  if (!answer) return std::unexpected(answer.error());
  const auto text = test ? answer : what == "list" ? link_table(*answer) : link_details(*answer, link);
  if (!text) return std::unexpected(text.error());
  fmt::print("{}", *text);
  return {};
}

}  // namespace qkms::cli
