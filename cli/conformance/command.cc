#include "cli/conformance/command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "base/text.h"
#include "cli/conformance/report.h"

namespace qkms::cli::conformance {

namespace {

constexpr int kDefaultTimeoutSeconds = 10;

std::unexpected<Error> refuse(std::string text) { return fail(ErrorCode::kInvalid, std::move(text)); }

// --- the command line

// The first of these options that was given: a slave may be served where the master is.
std::string first_given(const Arguments& arguments, std::initializer_list<std::string_view> options) {
  const auto found = std::ranges::find_if(options, [&](std::string_view one) { return arguments.has(one); });
  return found == options.end() ? "" : arguments.one(*found);
}

Result<Caller> caller_of(const Arguments& arguments, const std::string& url, const std::string& ca,
                         const std::string& prefix, std::string_view id_option) {
  auto target = parse_target(url);
  if (!target) return std::unexpected(target.error());
  const auto timeout = timeout_ms(arguments, kDefaultTimeoutSeconds);
  if (!timeout) return std::unexpected(timeout.error());
  Caller out{std::move(*target),
             {arguments.one(prefix + "cert"), arguments.one(prefix + "key"), ca},
             arguments.one(id_option),
             *timeout};
  if (out.name.empty()) return refuse(fmt::format("{} is empty", id_option));
  return out;
}

Result<Participants> participants_of(const Arguments& arguments) {
  for (const std::string_view option :
       {"--url", "--cert", "--key", "--ca", "--master-id", "--slave-cert", "--slave-key", "--slave-id"}) {
    if (!arguments.has(option)) return refuse(fmt::format("{} is missing", option));
  }
  const bool has_second = arguments.has("--second-slave-id");
  for (const std::string_view option : {"--second-slave-cert", "--second-slave-key"}) {
    if (arguments.has(option) != has_second)
      return refuse("--second-slave-cert, --second-slave-key and --second-slave-id belong together");
  }
  const std::string ca = arguments.one("--ca"), slave_ca = first_given(arguments, {"--slave-ca", "--ca"});
  auto master = caller_of(arguments, arguments.one("--url"), ca, "--", "--master-id");
  if (!master) return std::unexpected(master.error());
  auto slave =
      caller_of(arguments, first_given(arguments, {"--slave-url", "--url"}), slave_ca, "--slave-", "--slave-id");
  if (!slave) return std::unexpected(slave.error());
  Participants out{std::move(*master), std::move(*slave), {}};
  if (!has_second) return out;
  auto second = caller_of(arguments, first_given(arguments, {"--second-slave-url", "--slave-url", "--url"}), slave_ca,
                          "--second-slave-", "--second-slave-id");
  if (!second) return std::unexpected(second.error());
  out.second_slave = std::move(*second);
  return out;
}

// The checks whose IDs start with what --only says, behind the first one, which is always made; all of them without it.
Result<std::vector<const Check*>> selected(const Arguments& arguments) {
  const auto every = all_checks();
  const auto wanted = arguments.all("--only");
  if (wanted.empty()) return every;
  for (const auto& one : wanted) {
    if (std::ranges::none_of(every, [&](const Check* check) { return check->id.starts_with(one); }))
      return refuse(fmt::format("--only: there is no check \"{}\"; see --list", printable(one)));
  }
  std::vector<const Check*> out;
  std::ranges::copy_if(every, std::back_inserter(out), [&](const Check* check) {
    return check == every.front() ||
           std::ranges::any_of(wanted, [check](const auto& one) { return check->id.starts_with(one); });
  });
  return out;
}

Result<void> accepts(const Arguments& arguments) {
  if (const auto checks = selected(arguments); !checks) return std::unexpected(checks.error());
  if (arguments.has("--list")) return {};
  if (const auto participants = participants_of(arguments); !participants) return std::unexpected(participants.error());
  return {};
}

// --- the run

// Nothing can be tried when the first check fails.
std::vector<Finding> run_checks(Run& run, const std::vector<const Check*>& wanted) {
  std::vector<Finding> out;
  for (const Check* check : wanted) {
    const bool is_shut = !out.empty() && out.front().verdict.outcome == Outcome::kFail;
    Verdict verdict = is_shut ? skipped("the KME does not answer") : check->test(run);
    out.push_back({check, std::move(verdict), run.take_exchanges()});
    fmt::print("{}", line_of(out.back()));
    std::fflush(stdout);
  }
  return out;
}

Result<void> write(const std::string& file, const std::string& text) {
  if (file.empty()) return {};
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << text << std::flush;
  if (out) return {};
  return fail(ErrorCode::kIo, fmt::format("{}: cannot be written", file));
}

Result<void> list(const Arguments& arguments) {
  const auto checks = selected(arguments);
  for (const Check* check : *checks)
    fmt::print("{:<35} {:<14} {}\n", check->id, name_of(check->level), check->statement);
  return {};
}

Result<void> conformance(const Arguments& arguments) {
  if (arguments.has("--list")) return list(arguments);
  auto participants = participants_of(arguments);
  if (!participants) return std::unexpected(participants.error());
  const auto checks = selected(arguments);
  if (!checks) return std::unexpected(checks.error());
  const std::string kme = host_header(participants->master.kme);
  const auto run = Run::make(std::move(*participants));
  if (!run) return std::unexpected(run.error());
  Report report{kme, 0, run_checks(**run, *checks)};
  report.keys_taken = (*run)->keys_of_master().size();
  fmt::print("\n{}", summary_of(report));
  if (auto done = write(arguments.one("--json"), as_json(report)); !done) return done;
  if (auto done = write(arguments.one("--junit"), as_junit(report)); !done) return done;
  if (auto done = write(arguments.one("--markdown"), as_markdown(report)); !done) return done;
  if (std::ranges::none_of(report.findings, &Finding::breaks_the_standard)) return {};
  return fail(ErrorCode::kInvalid, kme + " does not meet the standard");
}

}  // namespace

std::vector<const Check*> all_checks() {
  std::vector<const Check*> out;
  for (const auto table :
       {connection_checks(), status_checks(), get_key_checks(), key_request_checks(), multicast_checks(),
        key_container_checks(), get_by_id_checks(), entitlement_checks(), http_checks(), error_checks()}) {
    for (const Check& check : table) out.push_back(&check);
  }
  return out;
}

Command conformance_command() {
  static const std::string kSentence =
      fmt::format("Check a KME of any vendor against ETSI GS QKD 014. Takes up to {} keys.", Run::kMaxKeys);
  const ArgumentSpec arguments = {
      {{"--url", "URL", Given::kAtMostOnce,
        "The master's KME: https://HOST:PORT. Required, like all but --list below to --slave-key."},
       {"--ca", "FILE", Given::kAtMostOnce, "The CA that the KME's certificate must come from, PEM."},
       {"--master-id", "ID", Given::kAtMostOnce, "The SAE that asks for keys, as the KME knows it."},
       {"--cert", "FILE", Given::kAtMostOnce, "Its certificate, PEM."},
       {"--key", "FILE", Given::kAtMostOnce, "Its private key, PEM, mode 0600."},
       {"--slave-id", "ID", Given::kAtMostOnce, "The SAE that fetches them; the master must be allowed to ask for it."},
       {"--slave-cert", "FILE", Given::kAtMostOnce, "Its certificate."},
       {"--slave-key", "FILE", Given::kAtMostOnce, "Its private key."},
       {"--slave-url", "URL", Given::kAtMostOnce, "The slave's KME, when that is another one."},
       {"--slave-ca", "FILE", Given::kAtMostOnce, "The CA of that KME's certificate, when that is another one."},
       {"--second-slave-id", "ID", Given::kAtMostOnce, "Another slave; without it some checks are skipped."},
       {"--second-slave-cert", "FILE", Given::kAtMostOnce, "Its certificate."},
       {"--second-slave-key", "FILE", Given::kAtMostOnce, "Its private key."},
       {"--second-slave-url", "URL", Given::kAtMostOnce, "Its KME, when that is not the slave's."},
       {"--json", "FILE", Given::kAtMostOnce, "Write the report as JSON."},
       {"--junit", "FILE", Given::kAtMostOnce, "Write the report as JUnit XML."},
       {"--markdown", "FILE", Given::kAtMostOnce, "Write the table of checks and results as Markdown."},
       {"--timeout", "SECONDS", Given::kAtMostOnce,
        "How long to wait for an answer, and for key to be there; 10 when not given."},
       {"--only", "CHECK", Given::kAnyTimes, "Only this check, or those whose names start like this; repeat for more."},
       {"--list", "", Given::kAtMostOnce, "Print the checks and do nothing else."}},
      {}};
  return {"conformance", kSentence, arguments, conformance, accepts};
}

}  // namespace qkms::cli::conformance
