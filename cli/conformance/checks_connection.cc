// Clause 5.1: TLS, certificates on both sides, URIs.
#include <fmt/format.h>

#include "cli/conformance/expect.h"

namespace qkms::cli::conformance {

namespace {

Request status_request(Run& run) { return {.target = run.path_of(run.id_of(Who::kSlave), "status"), .body = {}}; }

// The gate: when this fails, nothing else is tried.
Verdict answers_https(Run& run) {
  const Reply& reply = run.status_reply();
  return reply.answered() ? pass() : failed(reply.no_answer);
}

Verdict refuses_old_tls(Run& run) {
  std::string version;
  const Reply reply = run.ask_as(Disguise::kOldTls, status_request(run), &version);
  return version.empty() ? pass() : failed("it spoke " + version + ": " + reply.summary());
}

Verdict speaks_tls_1_3(Run& run) {
  const Reply reply = run.ask_as(Disguise::kTls13, status_request(run));
  return reply.answered() ? pass() : failed(reply.no_answer);
}

// A refusal may come in TLS, as a close, or as an answer (a proxy in front of a KME may only be able to say 400).
Verdict expect_turned_away(const Reply& reply) {
  if (reply.status() < 200 || reply.status() >= 300) return pass();
  return failed("it was served: " + reply.summary());
}

Verdict asks_for_a_certificate(Run& run) {
  return expect_turned_away(run.ask_as(Disguise::kNoCertificate, status_request(run)));
}

Verdict refuses_a_foreign_certificate(Run& run) {
  return expect_turned_away(run.ask_as(Disguise::kForeign, status_request(run)));
}

// An answer from after the handshake shows whom the KME took the caller for.
Verdict names_the_caller_by_certificate(Run& run) {
  const auto* status = run.status_object();
  const auto* member = status == nullptr ? nullptr : api::find_member(*status, "master_SAE_ID");
  const auto* name = member == nullptr ? nullptr : member->get<std::string>();
  if (name == nullptr) return skipped("Get status told no master_SAE_ID");
  Request request = status_request(run);
  request.headers = "Accept: application/json\r\nX-SAE-ID: " + run.id_of(Who::kSlave) +
                    "\r\nX-SSL-Client-CN: " + run.id_of(Who::kSlave) + "\r\n";
  const Reply reply = run.ask(Who::kMaster, request, Carries::kNoKeys);
  const auto* object = reply.json ? reply.json->get<api::JsonObject>() : nullptr;
  const auto* again = object == nullptr ? nullptr : api::find_member(*object, "master_SAE_ID");
  const auto* same = again == nullptr ? nullptr : again->get<std::string>();
  if (reply.status() != 200) return failed("a header changed the answer: " + reply.summary());
  return same != nullptr && *same == *name ? pass() : failed("a header changed who the caller is taken for");
}

Verdict decodes_the_path(Run& run) {
  std::string encoded;
  for (const char c : run.id_of(Who::kSlave)) encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  const Reply reply =
      run.ask(Who::kMaster, {.target = "/api/v1/keys/" + encoded + "/status", .body = {}}, Carries::kNoKeys);
  return expect_status(reply, 200);
}

constexpr Check kChecks[] = {
    {"014-5.1-https", Level::kShall,
     "The KME answers over HTTPS, TLS 1.2 or higher, with a certificate that its CA issued for its name.",
     answers_https},
    {"014-5.1-no-old-tls", Level::kShall, "TLS 1.0 and TLS 1.1 are not spoken.", refuses_old_tls},
    {"014-5.1-client-certificate", Level::kShall, "A client that shows no certificate is not served.",
     asks_for_a_certificate},
    {"014-5.1-foreign-certificate", Level::kShall,
     "A certificate of another CA is not accepted, even with the name of an SAE in it.", refuses_a_foreign_certificate},
    {"014-5.1-caller-by-certificate", Level::kShall,
     "Who the caller is comes from its certificate: no header of the request changes it.",
     names_the_caller_by_certificate},
    {"014-5.1-percent-encoding", Level::kShall, "SAE IDs in the path are percent-decoded.", decodes_the_path},
    {"014-5.1-tls-1.3", Level::kDecision, "TLS 1.3 is spoken.", speaks_tls_1_3},
};

}  // namespace

std::span<const Check> connection_checks() { return kChecks; }

}  // namespace qkms::cli::conformance
