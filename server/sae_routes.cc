#include "server/sae_routes.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <expected>
#include <memory>
#include <utility>
#include <vector>

#include "api/etsi014/messages.h"
#include "api/etsi014/request.h"
#include "api/etsi014/response.h"
#include "api/etsi014/target.h"
#include "base/failpoint.h"
#include "server/error_response.h"

namespace qkms::server {
namespace {

namespace etsi = api::etsi014;
using Clock = std::chrono::steady_clock;
template <class T>
using OrResponse = std::expected<T, http::Response>;

struct Route {
  Method method;
  std::string_view allow;
};

// By Operation. A method that is not allowed is no request at all, so nothing of it is looked at.
constexpr Route kRoutes[] = {
    {Method::kStatus, "GET"},
    {Method::kEncKeys, "GET, POST"},
    {Method::kDecKeys, "GET, POST"},
};

const Route& route_of(etsi::Operation operation) { return kRoutes[static_cast<std::size_t>(operation)]; }

bool allowed(const Route& route, std::string_view http_method) {
  return http_method == "GET" || (http_method == "POST" && route.allow != "GET");
}

std::unexpected<http::Response> refused(const Error& error) { return std::unexpected(error_response(error)); }

http::Response method_not_allowed(std::string_view allow) {
  http::Response response = error_response(405, "method not allowed");
  response.allow = allow;
  return response;
}

// RFC 9110 §8.3.1. Clients send JSON under any media type; only a charset that is not UTF-8 is refused (shared decision
// 15).
bool is_utf8(std::string_view content_type) {
  for (std::size_t at = content_type.find(';'); at != std::string_view::npos; at = content_type.find(';')) {
    content_type.remove_prefix(at + 1);
    std::string_view parameter = content_type.substr(0, content_type.find(';'));
    while (!parameter.empty() && (parameter.front() == ' ' || parameter.front() == '\t')) parameter.remove_prefix(1);
    while (!parameter.empty() && (parameter.back() == ' ' || parameter.back() == '\t')) parameter.remove_suffix(1);
    constexpr std::string_view kName = "charset=";
    if (!http::equal_ignoring_case(parameter.substr(0, kName.size()), kName)) continue;
    parameter.remove_prefix(kName.size());
    if (parameter.size() >= 2 && parameter.front() == '"' && parameter.back() == '"') {
      parameter = parameter.substr(1, parameter.size() - 2);
    }
    if (!http::equal_ignoring_case(parameter, "utf-8") && !http::equal_ignoring_case(parameter, "utf8")) return false;
  }
  return true;
}

OrResponse<void> check_media(const http::Request& request) {
  const std::string_view encoding = request.content_encoding;
  if (!encoding.empty() && !http::equal_ignoring_case(encoding, "identity")) {
    return std::unexpected(error_response(415, "Content-Encoding is not supported"));
  }
  if (!is_utf8(request.content_type)) return std::unexpected(error_response(415, "the charset must be UTF-8"));
  return {};
}

// The standard's message, and in `details` which names it means.
http::Response extensions_unsupported(const std::vector<std::string>& names) {
  std::vector<etsi::Detail> details;
  for (const std::string& name : names) details.push_back({"extension_mandatory_unsupported", name});
  http::Response response;
  response.status = 400;
  response.content_type = "application/json";
  response.body = http::body_of(etsi::error_body(etsi::kExtensionUnsupported, details));
  return response;
}

OrResponse<kms::SaeRequest> key_request(SaeId caller, etsi::Target target, const http::Request& request,
                                        const ExtensionNames& names) {
  auto parsed = request.method == "POST" ? etsi::parse_key_request_body(http::text_of(request.body))
                                         : etsi::parse_key_request_query(target.query);
  if (!parsed) return refused(parsed.error());
  const auto unknown = unsupported(parsed->mandatory, names);
  if (!unknown.empty()) return std::unexpected(extensions_unsupported(unknown));
  const auto must = read_mandatory(parsed->mandatory, names);
  if (!must) return refused(must.error());
  return kms::KeyRequest{std::move(caller),
                         std::move(target.sae),
                         std::move(parsed->additional_slaves),
                         parsed->number,
                         parsed->size_bits,
                         *must,
                         read_optional(parsed->optional, names)};
}

OrResponse<kms::SaeRequest> key_ids_request(SaeId caller, etsi::Target target, const http::Request& request) {
  auto parsed = request.method == "POST" ? etsi::parse_key_ids_body(http::text_of(request.body))
                                         : etsi::parse_key_ids_query(target.query);
  if (!parsed) return refused(parsed.error());
  return kms::KeyIdsRequest{std::move(caller), std::move(target.sae), std::move(*parsed)};
}

OrResponse<kms::SaeRequest> to_engine_request(SaeId caller, etsi::Target target, const http::Request& request,
                                              const ExtensionNames& names) {
  if (request.method == "POST") {
    if (auto media = check_media(request); !media) return std::unexpected(std::move(media.error()));
  }
  switch (target.operation) {
    case etsi::Operation::kStatus:
      return kms::StatusRequest{std::move(caller), std::move(target.sae)};
    case etsi::Operation::kEncKeys:
      return key_request(std::move(caller), std::move(target), request, names);
    case etsi::Operation::kDecKeys:
      return key_ids_request(std::move(caller), std::move(target), request);
  }
  return refused({ErrorCode::kInternal, "no such operation"});
}

http::Response answer(const kms::StatusReply& reply) {
  const etsi::Status status{reply.source_kme,
                            reply.target_kme,
                            reply.master,
                            reply.slave,
                            reply.key_size_bits,
                            reply.stored_key_count,
                            reply.max_key_count,
                            reply.max_key_per_request,
                            reply.max_key_size_bits,
                            reply.min_key_size_bits,
                            reply.max_additional_slaves};
  http::Response response;
  response.content_type = "application/json";
  response.body = http::body_of(etsi::status_body(status));
  return response;
}

http::Response answer(const kms::KeysReply& reply) {
  http::Response response;
  response.content_type = "application/json";
  response.body = SecretBytes(etsi::key_container_size(reply.sizes));
  api::SecretWriter writer(response.body.reveal_mutable());
  etsi::write_key_container({reply.ids, reply.sizes, reply.bits.reveal()}, writer);
  return response;
}

http::Response answer(const Error& error) {
  if (error.code == ErrorCode::kInternal || error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kIo) {
    spdlog::error("a request failed: {}: {}", name_of(error.code), error.text);
  }
  return error_response(error);
}

}  // namespace

void SaeRoutes::handle(const http::Client& client, http::Request request, http::Responder respond) {
  const auto begin = Clock::now();
  Method method = Method::kOther;
  const auto settings = settings_.get();
  const auto finish = [this, begin, settings](Method of, http::Response response) {
    if (response.status == 429) response.status = settings->answers.limited_status;
    metrics_.request_done(of, response.status, Clock::now() - begin);
    return response;
  };
  const auto answer_now = [&](http::Response response) {
    respond([response = finish(method, std::move(response))]() mutable { return std::move(response); });
  };

  auto caller = SaeId::parse(client.name);
  if (!caller) return answer_now(error_response({ErrorCode::kUnauthorised, "no name in the certificate"}));
  auto target = etsi::parse_target(request.target);
  if (!target && target.error().code == ErrorCode::kNotFound) return answer_now(error_response(404, "no such path"));
  if (!target) return answer_now(error_response(target.error()));
  const Route& route = route_of(target->operation);
  method = route.method;
  if (!allowed(route, request.method)) return answer_now(method_not_allowed(route.allow));
  auto engine_request = to_engine_request(std::move(*caller), std::move(*target), request, settings->extensions);
  if (!engine_request) return answer_now(std::move(engine_request.error()));

  // Shared, since the responder is needed again should the queue be full.
  const auto reply_to = std::make_shared<http::Responder>(std::move(respond));
  const auto queued = engine_.request(std::move(*engine_request), [reply_to, finish, method](kms::SaeReply reply) {
    if (method == Method::kEncKeys) at_failpoint(Failpoint::kGetKeyBeforeReply);
    if (method == Method::kDecKeys) at_failpoint(Failpoint::kGetByIdBeforeReply);
    (*reply_to)([finish, method, reply = std::move(reply)]() {
      return finish(method, std::visit([](const auto& one) { return answer(one); }, reply));
    });
  });
  if (queued) return;
  (*reply_to)([finish, method, error = queued.error()]() { return finish(method, error_response(error)); });
}

http::Response SaeRoutes::refuse(const http::Refusal& refusal) {
  metrics_.request_done(Method::kOther, refusal.status, {});
  return error_response(refusal.status, refusal.why);
}

}  // namespace qkms::server
