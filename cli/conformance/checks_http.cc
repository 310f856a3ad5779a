// Clause 5.1 says HTTPS and leaves the rest of HTTP open; clients in the field differ. All of this is qkms's decision.
#include <fmt/format.h>

#include "cli/conformance/expect.h"

namespace qkms::cli::conformance {

namespace {

constexpr std::string_view kEmptyObject = "{}";

Request status_request(Run& run, std::string headers) {
  return {.target = run.path_of(run.id_of(Who::kSlave), "status"), .body = {}, .headers = std::move(headers)};
}

// Get status with these headers is answered as usual.
Verdict serves(Run& run, const Request& request) {
  const Reply reply = run.ask(Who::kMaster, request, Carries::kNoKeys);
  return expect_status(reply, 200);
}

// Get key by POST with these headers gives a key.
Verdict serves_post(Run& run, std::string headers, std::string body = std::string(kEmptyObject)) {
  const Request request{"POST", run.enc_path(), std::move(body), std::move(headers)};
  return expect_keys(run.ask(Who::kMaster, request, Carries::kKeys), 1, {});
}

Verdict keeps_the_connection(Run& run) {
  Session& session = run.session(Who::kMaster);
  const Reply first = run.status(Who::kMaster, run.id_of(Who::kSlave));
  const int before = session.connections();
  const Reply second = run.status(Who::kMaster, run.id_of(Who::kSlave));
  if (!first.answered() || !second.answered()) return failed("no answer");
  return session.connections() == before ? pass() : failed("the connection was closed after the answer");
}

Verdict keeps_it_after_an_error(Run& run) {
  Session& session = run.session(Who::kMaster);
  const Reply error = run.enc_keys_post("[");
  const int before = session.connections();
  const Reply next = run.status(Who::kMaster, run.id_of(Who::kSlave));
  if (!error.answered() || !next.answered()) return failed("no answer");
  return session.connections() == before ? pass() : failed("the connection was closed after the error");
}

Verdict states_its_length(Run& run) {
  const Reply reply = run.get_keys(1);
  if (auto none = no_keys(reply, 1)) return *none;
  return reply.http.body_end == api::BodyEnd::kContentLength ? pass() : failed("the answer has no Content-Length");
}

Verdict takes_charset(Run& run) { return serves_post(run, "Content-Type: application/json;charset=utf-8\r\n"); }
Verdict takes_any_type(Run& run) { return serves_post(run, "Content-Type: application/x-www-form-urlencoded\r\n"); }
Verdict takes_no_type(Run& run) { return serves_post(run, "Accept: */*\r\n"); }
Verdict takes_chunks(Run& run) {
  return serves_post(run, "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n");
}
// The body is sent at once: RFC 9110 §10.1.1 lets a client do so, and the interim answer is passed over.
Verdict takes_expect(Run& run) {
  return serves_post(run, "Content-Type: application/json\r\nExpect: 100-continue\r\n");
}
Verdict takes_odd_accept(Run& run) { return serves(run, status_request(run, "Accept: text/html\r\n")); }
Verdict takes_type_on_get(Run& run) { return serves(run, status_request(run, "Content-Type: application/json\r\n")); }
Verdict takes_http_1_0(Run& run) {
  Request request = status_request(run, "");
  request.version = "HTTP/1.0";
  return serves(run, request);
}
Verdict takes_absolute_form(Run& run) {
  Request request = status_request(run, "");
  request.target = "https://" + host_header(run.session(Who::kMaster).caller().kme) + request.target;
  return serves(run, request);
}

Verdict says_404(Run& run) {
  const Request request{.target = run.path_of(run.id_of(Who::kSlave), "no_such_method"), .body = {}};
  return expect_status(run.ask(Who::kMaster, request, Carries::kNoKeys), 404);
}
Verdict says_405(Run& run) {
  const Reply reply = run.ask(Who::kMaster, {"DELETE", run.enc_path(), {}}, Carries::kNoKeys);
  if (reply.status() != 405) return expect_status(reply, 405);
  return reply.http.header("Allow").empty() ? failed("405 without Allow") : pass();
}

constexpr Check kChecks[] = {
    {"014-5.1-keep-alive", Level::kDecision, "A connection stays open after an answer.", keeps_the_connection},
    {"014-5.1-keep-alive-error", Level::kDecision, "A connection stays open after an error.", keeps_it_after_an_error},
    {"014-5.1-content-length", Level::kDecision, "Answers have a Content-Length and are not chunked.",
     states_its_length},
    {"014-5.1-charset", Level::kDecision, "Content-Type may carry charset=utf-8.", takes_charset},
    {"014-5.1-other-type", Level::kDecision, "JSON is read under another Content-Type too.", takes_any_type},
    {"014-5.1-no-type", Level::kDecision, "JSON is read without a Content-Type.", takes_no_type},
    {"014-5.1-chunks", Level::kDecision, "A chunked request is read.", takes_chunks},
    {"014-5.1-expect", Level::kDecision, "A request with Expect: 100-continue is served.", takes_expect},
    {"014-5.1-accept", Level::kDecision, "Accept is not looked at.", takes_odd_accept},
    {"014-5.1-get-content-type", Level::kDecision, "A Content-Type on a GET does no harm.", takes_type_on_get},
    {"014-5.1-http-1.0", Level::kDecision, "HTTP/1.0 is spoken.", takes_http_1_0},
    {"014-5.1-absolute-form", Level::kDecision, "A request target in absolute form is served.", takes_absolute_form},
    {"014-5.1-unknown-path", Level::kDecision, "An unknown method of the API is answered 404.", says_404},
    {"014-5.1-unknown-verb", Level::kDecision, "An HTTP method that is not the API's is answered 405 with Allow.",
     says_405},
};

}  // namespace

std::span<const Check> http_checks() { return kChecks; }

}  // namespace qkms::cli::conformance
