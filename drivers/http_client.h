// HTTP/1.1 to a device: one request and its answer at a time, over one kept connection. Bodies of answers lie in wiped
// memory.
//
// Operation: a connection that the device closed while it was idle is made again before anything is sent; nothing is
// ever sent twice. Concurrency: one thread, the Waiter's. Limits: api/http_answer.h's; answer_ms for a whole answer.
// Redirects are answers like others.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "api/http_answer.h"
#include "drivers/tls_client.h"

namespace qkms::drivers {

// Whether the device may have got a request that failed.
enum class Reached { kNo, kMaybe };

struct HttpFailure {
  Reached reached = Reached::kNo;
  Error error;  // tls_client.h's codes; kCorrupt: what came was no answer
};

class HttpClient {
 public:
  // `waiter` must outlive the client.
  HttpClient(TlsSettings settings, std::uint32_t answer_ms, Waiter& waiter)
      : settings_(std::move(settings)), answer_ms_(answer_ms), waiter_(waiter) {}

  // `target` begins with a slash; `json` may be empty, and holds no secret.
  std::expected<api::HttpAnswer, HttpFailure> exchange(std::string_view method, std::string_view target,
                                                       std::string_view json);

 private:
  Result<api::HttpAnswer> receive();

  const TlsSettings settings_;
  const std::uint32_t answer_ms_;
  Waiter& waiter_;
  std::unique_ptr<TlsClient> connection_;
};

}  // namespace qkms::drivers
