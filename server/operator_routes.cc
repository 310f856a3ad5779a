#include "server/operator_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "api/percent.h"
#include "base/text.h"
#include "certs/wall_clock.h"
#include "server/clock_keeper.h"
#include "server/error_response.h"
#include "server/link_page.h"

namespace qkms::server {
namespace {

// Below this the store may soon fail to commit.
constexpr std::uintmax_t kLeastDiskBytes = 64 << 20;

struct Route {
  enum class What {
    kLive,
    kReady,
    kMetrics,
    kLinks,
    kTestLink,
    kAudit,
    kReload,
    kBackup,
    kRotateMaster,
    kSeal,
    kUnseal
  };
  std::string_view path, method;
  What what;
};

constexpr Route kRoutes[] = {{"/livez", "GET", Route::What::kLive},
                             {"/readyz", "GET", Route::What::kReady},
                             {"/metrics", "GET", Route::What::kMetrics},
                             {"/links", "GET", Route::What::kLinks},
                             {"/test-link", "POST", Route::What::kTestLink},
                             {"/audit", "GET", Route::What::kAudit},
                             {"/reload", "POST", Route::What::kReload},
                             {"/backup", "POST", Route::What::kBackup},
                             {"/rotate-master", "POST", Route::What::kRotateMaster},
                             {"/seal", "POST", Route::What::kSeal},
                             {"/unseal", "POST", Route::What::kUnseal}};

http::Response text_response(int status, std::string_view text,
                             std::string_view content_type = "text/plain; charset=utf-8") {
  http::Response response;
  response.status = status;
  response.content_type = content_type;
  response.body = http::body_of(text);
  return response;
}

std::string disk_trouble(const std::filesystem::path& folder) {
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  if (error) return error.message();
  if (space.available >= kLeastDiskBytes) return "";
  return fmt::format("only {} MiB left in {}", space.available >> 20, folder.string());
}

std::string clock_trouble() {
  const std::int64_t behind = certs::seconds_behind_floor();
  if (behind <= ClockKeeper::kStepS) return "";
  return fmt::format("the wall clock is {} s behind a time that it had reached; certificates are judged by that time",
                     behind);
}

std::string store_trouble(kms::Node::State state, const kms::Report& report) {
  switch (state) {
    case kms::Node::State::kOpen:
      return report.reconciling ? "what it held at the start waits until all peers have been heard" : "";
    case kms::Node::State::kSealed:
      return "it is sealed, no key goes out until an operator says qkmsctl unseal";
    case kms::Node::State::kClosed:
    case kms::Node::State::kDead:
      break;
  }
  return "it cannot be trusted at the moment, no key goes out; the log says why";
}

std::string peers_trouble(const kms::Report& report) {
  const bool any = std::ranges::any_of(report.reservoirs, [](const auto& one) { return one.session_up; });
  return any || report.reservoirs.empty() ? "" : "no session with any peer";
}

std::string readiness_text(const std::vector<Check>& checks, const kms::Report& report, const Observed& observed) {
  std::string text;
  for (const Check& check : checks) {
    text += check.trouble.empty() ? fmt::format("[+]{} ok\n", check.name)
                                  : fmt::format("[-]{} failed: {}\n", check.name, check.trouble);
  }
  for (const auto& one : report.reservoirs) {
    text += fmt::format("{} {}\n", one.session_up ? "[+]peer" : "[-]peer",
                        one.peer.str() + (one.session_up ? " ok" : " has no session"));
  }
  if (const std::size_t unlocked = observed.secret_memory.unlocked_bytes; unlocked > 0)
    text += fmt::format("[!]memory {} KiB WITH KEY BITS ARE NOT LOCKED and may be swapped: raise RLIMIT_MEMLOCK\n",
                        unlocked >> 10);
  for (const drivers::LinkStatus& link : observed.links) {
    for (const auto& [alarm, why] : link.alarms)
      text += fmt::format("[!]link {} {}: {}\n", link.link.str(), drivers::name_of(alarm), why);
    if (link.simulated) text += fmt::format("[!]link {} IS SIMULATED: its keys are not secret\n", link.link.str());
  }
  return text;
}

http::Response ready_response(bool verbose, const std::vector<Check>& checks, const kms::Report& report,
                              const Observed& observed) {
  const bool ready = std::ranges::all_of(checks, [](const Check& check) { return check.trouble.empty(); });
  if (ready && !verbose) return text_response(200, "ok\n");
  return text_response(ready ? 200 : 503, readiness_text(checks, report, observed));
}

constexpr std::size_t kAuditPageBytes = 1 << 20;

// The number of "?from=NUMBER", 1 without a query, nothing for any other query.
std::optional<std::uint64_t> from_of(std::string_view target) {
  constexpr std::string_view kName = "from=";
  const std::size_t mark = target.find('?');
  if (mark == std::string_view::npos) return 1;
  std::string_view query = target.substr(mark + 1);
  if (!query.starts_with(kName)) return std::nullopt;
  query.remove_prefix(kName.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(query.data(), query.data() + query.size(), number);
  if (error != std::errc() || end != query.data() + query.size() || number == 0) return std::nullopt;
  return number;
}

// JSON lines; the last one says where the log ends, and after which record it begins.
http::Response audit_response(const Result<storage::AuditPage>& page) {
  if (!page) return error_response(page.error());
  std::string text;
  for (const std::string& line : page->lines) text += line + "\n";
  text += fmt::format("{{\"end\":{},\"hash\":\"{}\",\"after\":{},\"after_hash\":\"{}\"}}\n", page->last.sequence,
                      to_hex(page->last.hash), page->before_first.sequence, to_hex(page->before_first.hash));
  return text_response(200, text, "application/jsonl");
}

// The NAME of "?link=NAME", and nothing else.
Result<LinkId> link_of(std::string_view target) {
  constexpr std::string_view kName = "?link=";
  const std::size_t mark = target.find(kName);
  if (mark == std::string_view::npos) return fail(ErrorCode::kInvalid, "the query is link=NAME");
  const auto name = api::percent_decode(target.substr(mark + kName.size()));
  if (!name) return std::unexpected(name.error());
  return LinkId::parse(*name);
}

http::Response reloaded(const std::vector<std::string>& waiting) {
  if (waiting.empty()) return text_response(200, "reloaded\n");
  return text_response(200,
                       fmt::format("reloaded; these options wait for the next start: {}\n", fmt::join(waiting, ", ")));
}

// 403: the operator is to type something, or something else. RFC 9110 §15.5.4: "the client MAY repeat the request with
// new or different credentials". Who is no operator gets 401.
int status_of(const Error& error) { return error.code == ErrorCode::kUnauthorised ? 403 : 400; }

// How a command came out, as an answer.
StoreCommands::Answer answer_to(http::Responder respond) {
  return [respond = std::move(respond)](Result<std::string> outcome) mutable {
    respond([outcome = std::move(outcome)]() {
      return outcome ? text_response(200, *outcome)
                     : text_response(status_of(outcome.error()), outcome.error().text + "\n");
    });
  };
}

}  // namespace

std::vector<Check> readiness(kms::Node::State state, const kms::Report& report,
                             const std::filesystem::path& state_dir) {
  const bool open = state == kms::Node::State::kOpen;
  return {
      {"store", store_trouble(state, report)},
      {"peers", open ? peers_trouble(report) : "unknown while the store is not open"},
      {"clock", clock_trouble()},
      {"disk", disk_trouble(state_dir)},
  };
}

// The report is made on the engine's thread, the answer on the connection's.
void OperatorRoutes::answer_with_report(http::Responder respond, WithReport make) {
  const auto reply_to = std::make_shared<http::Responder>(std::move(respond));
  const auto queued = engine_.report([reply_to, make](Result<kms::Report> report) {
    (*reply_to)([make, report = std::move(report)]() { return make(report.value_or(kms::Report{})); });
  });
  if (!queued) (*reply_to)([make]() { return make({}); });
}

void OperatorRoutes::show_metrics(http::Responder respond) {
  answer_with_report(std::move(respond), [this](kms::Report report) {
    Observed observed = settings_.observe();
    observed.report = std::move(report);
    return text_response(200, metrics_.page(observed), "text/plain; version=0.0.4; charset=utf-8");
  });
}

void OperatorRoutes::show_readiness(const http::Request& request, http::Responder respond) {
  const bool verbose = request.target.substr(request.target.find('?') + 1).starts_with("verbose");
  answer_with_report(std::move(respond), [this, verbose](const kms::Report& report) {
    return ready_response(verbose, readiness(engine_.state(), report, settings_.state_dir), report,
                          settings_.observe());
  });
}

void OperatorRoutes::show_links(http::Responder respond) {
  answer_with_report(std::move(respond), [this](const kms::Report& report) {
    return text_response(200, links_json(settings_.observe().links, report.links), "application/json");
  });
}

// ?link=NAME, percent-encoded.
void OperatorRoutes::test_link(const http::Request& request, http::Responder respond) {
  const auto link = link_of(request.target);
  if (!link) return respond([error = link.error()]() { return error_response(400, error.text); });
  settings_.test_link(*link, [respond = std::move(respond)](Result<std::string> outcome) mutable {
    respond([outcome = std::move(outcome)]() {
      if (outcome) return text_response(200, *outcome + "\n");
      return text_response(outcome.error().code == ErrorCode::kNotFound ? 404 : 502, outcome.error().text + "\n");
    });
  });
}

// One page of the log as it is stored, and where the whole log ends: ?from=NUMBER, else from its beginning.
void OperatorRoutes::show_audit(const http::Request& request, http::Responder respond) {
  const auto from = from_of(request.target);
  if (!from) {
    return respond([]() { return error_response(400, "the query is from=NUMBER, with a number from 1"); });
  }
  const auto reply_to = std::make_shared<http::Responder>(std::move(respond));
  const auto queued = engine_.between_batches([this, reply_to, first = *from] {
    (*reply_to)([page = settings_.read_audit(first, kAuditPageBytes)]() { return audit_response(page); });
  });
  if (!queued) (*reply_to)([error = queued.error()]() { return error_response(error); });
}

void OperatorRoutes::reload(const http::Client& client, http::Responder respond) {
  settings_.reload(client.name, [respond = std::move(respond)](const Reloader::Outcome& outcome) mutable {
    respond([outcome]() {
      return outcome ? reloaded(*outcome) : text_response(400, fmt::format("not reloaded\n{}\n", outcome.error().text));
    });
  });
}

void OperatorRoutes::handle(const http::Client& client, http::Request request, http::Responder respond) {
  const auto answer_now = [&](http::Response response) {
    respond([response = std::move(response)]() mutable { return std::move(response); });
  };
  if (client.name.empty()) return answer_now(error_response({ErrorCode::kUnauthorised, "not an operator"}));
  const std::string path = request.target.substr(0, request.target.find('?'));
  const auto route = std::ranges::find(kRoutes, path, &Route::path);
  if (route == std::end(kRoutes)) return answer_now(error_response(404, "no such path"));
  if (request.method != route->method) {
    http::Response response = error_response(405, "method not allowed");
    response.allow = route->method;
    return answer_now(std::move(response));
  }
  switch (route->what) {
    case Route::What::kLive:
      return answer_now(text_response(200, "ok\n"));
    case Route::What::kReady:
      return show_readiness(request, std::move(respond));
    case Route::What::kMetrics:
      return show_metrics(std::move(respond));
    case Route::What::kLinks:
      return show_links(std::move(respond));
    case Route::What::kTestLink:
      return test_link(request, std::move(respond));
    case Route::What::kAudit:
      return show_audit(request, std::move(respond));
    case Route::What::kReload:
      return reload(client, std::move(respond));
    case Route::What::kBackup:
      return settings_.command(StoreCommand::kBackup, client.name, {}, answer_to(std::move(respond)));
    case Route::What::kRotateMaster:
      return settings_.command(StoreCommand::kRotateMaster, client.name, std::move(request.body),
                               answer_to(std::move(respond)));
    case Route::What::kSeal:
      return settings_.seal(client.name, answer_to(std::move(respond)));
    case Route::What::kUnseal:
      return settings_.unseal(client.name, std::move(request.body), answer_to(std::move(respond)));
  }
}

http::Response OperatorRoutes::refuse(const http::Refusal& refusal) {
  return error_response(refusal.status, refusal.why);
}

}  // namespace qkms::server
