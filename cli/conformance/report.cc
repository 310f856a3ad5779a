#include "cli/conformance/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/json_writer.h"
#include "base/text.h"

namespace qkms::cli::conformance {

namespace {

constexpr std::string_view kStandard = "ETSI GS QKD 014 V1.1.1";
constexpr std::size_t kMaxShown = 1000;

bool is_decision(const Finding& finding) { return finding.check->level == Level::kDecision; }

std::string json_text(std::string_view text) {
  std::string out;
  api::append_json_string(out, text);
  return out;
}

std::string escaped_xml(std::string_view text) {
  std::string out;
  for (const char c : printable(text, kMaxShown)) {
    constexpr std::string_view kSpecial = "&<>\"";
    constexpr std::string_view kNames[] = {"&amp;", "&lt;", "&gt;", "&quot;"};
    const auto which = kSpecial.find(c);
    if (which == std::string_view::npos) {
      out += c;
    } else {
      out += kNames[which];
    }
  }
  return out;
}

std::size_t count(const Report& report, std::string_view result) {
  return static_cast<std::size_t>(std::ranges::count(report.findings, result, &Finding::result));
}
std::size_t breaches(const Report& report) {
  return static_cast<std::size_t>(std::ranges::count_if(report.findings, &Finding::breaks_the_standard));
}

// Why, and of a decision that the KME does not share.
std::string remark(const Finding& finding) {
  const bool differs = is_decision(finding) && finding.verdict.outcome == Outcome::kFail;
  return (differs ? "unlike qkms: " : "") + finding.verdict.why;
}

std::string json_of(const Finding& finding) {
  std::string out = fmt::format(R"({{"id":{},"clause":"{}","level":"{}","statement":{},"result":"{}")",
                                json_text(finding.check->id), finding.check->clause(), name_of(finding.check->level),
                                json_text(finding.check->statement), finding.result());
  if (finding.result() == "observed") out += fmt::format(R"(,"as_qkms":{})", finding.verdict.outcome == Outcome::kPass);
  out += fmt::format(R"(,"why":{},"exchanges":[)", json_text(finding.verdict.why));
  for (const Exchange& one : finding.exchanges) {
    out += out.ends_with('[') ? "" : ",";
    out +=
        fmt::format(R"({{"by":{},"sent":{},"came":{}}})", json_text(one.by), json_text(one.sent), json_text(one.came));
  }
  return out + "]}";
}

std::string junit_of(const Finding& finding) {
  std::string out =
      fmt::format("  <testcase classname=\"014-{}\" name=\"{}\">\n", finding.check->clause(), finding.check->id);
  if (finding.breaks_the_standard()) {
    out += fmt::format("    <failure type=\"shall\" message=\"{}\"/>\n", escaped_xml(finding.verdict.why));
  } else if (finding.verdict.outcome == Outcome::kSkipped) {
    out += fmt::format("    <skipped message=\"{}\"/>\n", escaped_xml(finding.verdict.why));
  }
  out += fmt::format("    <system-out>{} ({}): {} {}\n", escaped_xml(finding.check->statement),
                     name_of(finding.check->level), finding.result(), escaped_xml(remark(finding)));
  for (const Exchange& one : finding.exchanges)
    out += fmt::format("{}: {} -> {}\n", escaped_xml(one.by), escaped_xml(one.sent), escaped_xml(one.came));
  return out + "    </system-out>\n  </testcase>\n";
}

std::string markdown_of(const Finding& finding) {
  std::string_view result = finding.result();
  if (result == "observed") result = finding.verdict.outcome == Outcome::kPass ? "yes" : "no";
  return fmt::format("| {} | `{}` | {} | {} | {} |\n", finding.check->clause(), finding.check->id,
                     finding.check->statement, name_of(finding.check->level), result);
}

}  // namespace

std::string_view name_of(Level level) {
  constexpr std::string_view kNames[] = {"shall", "should", "qkms-decision"};
  return kNames[static_cast<std::size_t>(level)];
}

std::string_view Finding::result() const {
  if (verdict.outcome == Outcome::kSkipped) return "skipped";
  if (check->level == Level::kDecision) return "observed";
  return verdict.outcome == Outcome::kPass ? "pass" : "fail";
}

bool Finding::breaks_the_standard() const { return check->level == Level::kShall && verdict.outcome == Outcome::kFail; }

std::string line_of(const Finding& finding) {
  std::string out = fmt::format("{:<9} {:<14} {:<35} {}\n", finding.result(), name_of(finding.check->level),
                                finding.check->id, finding.check->statement);
  const std::string why = remark(finding);
  if (!why.empty()) out += fmt::format("{:<9} {}\n", "", printable(why, kMaxShown));
  return out;
}

std::string summary_of(const Report& report) {
  const auto differs = std::ranges::count_if(report.findings, [](const Finding& finding) {
    return finding.result() == "observed" && finding.verdict.outcome == Outcome::kFail;
  });
  return fmt::format(
      "{} checks of {}: {} pass, {} fail ({} of them a shall), {} skipped, {} observed ({} unlike qkms); {} keys "
      "taken\n",
      report.findings.size(), kStandard, count(report, "pass"), count(report, "fail"), breaches(report),
      count(report, "skipped"), count(report, "observed"), differs, report.keys_taken);
}

std::string as_json(const Report& report) {
  std::string out = fmt::format(
      R"({{"standard":"{}","kme":{},"summary":{{"pass":{},"fail":{},"shall_failed":{},"skipped":{},"observed":{},"keys_taken":{}}},"checks":[)",
      kStandard, json_text(report.kme), count(report, "pass"), count(report, "fail"), breaches(report),
      count(report, "skipped"), count(report, "observed"), report.keys_taken);
  for (const Finding& finding : report.findings) out += (out.ends_with('[') ? "\n" : ",\n") + json_of(finding);
  return out + "\n]}\n";
}

std::string as_junit(const Report& report) {
  std::string out = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" "
      "skipped=\"{}\">\n",
      kStandard, report.findings.size(), breaches(report), count(report, "skipped"));
  for (const Finding& finding : report.findings) out += junit_of(finding);
  return out + "</testsuite>\n";
}

std::string as_markdown(const Report& report) {
  std::string out = fmt::format(
      "# Conformance to {}\n\nMade by `qkmsctl conformance --markdown`, which checks a KME of any vendor from outside; "
      "a "
      "test keeps this page equal to a run\nagainst qkmsd. Where the standard is silent the level is `qkms-decision`, "
      "and the result says whether the KME does as the statement says.\n\n| clause | check | statement | level | "
      "result "
      "|\n|---|---|---|---|---|\n",
      kStandard);
  for (const Finding& finding : report.findings) out += markdown_of(finding);
  return out;
}

}  // namespace qkms::cli::conformance
