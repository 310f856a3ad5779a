// One HTTPS request to an operator listener, and its answer. Blocking, bounded in time and size, TLS 1.3, nothing kept
// between calls.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret.h"
#include "certs/tls_context.h"

namespace qkms::cli {

struct HttpsTarget {
  std::string host;  // a name or an IP address (IPv6 without brackets); the server's certificate must be good for it
  std::uint16_t port = 443;
};
// Reads https://HOST:PORT, with or without a slash at the end.
Result<HttpsTarget> parse_target(std::string_view url);

// "HOST:PORT" as the Host header wants it.
std::string host_header(const HttpsTarget& target);

struct HttpsResponse {
  int status = 0;
  std::string body;
};
// A whole HTTP/1.x answer after which the server closed. kCorrupt when it is cut or malformed.
Result<HttpsResponse> parse_response(std::string_view bytes);

inline constexpr std::size_t kMaxResponseBytes = 16 << 20;

// kPeerUnreachable when nobody answers in time, kUnauthorised when TLS fails on either side. Looking up a name may take
// longer than the timeout: the system decides.
// `method` is GET or POST; `typed` is a POST's body, and may be a secret.
Result<HttpsResponse> https_ask(const HttpsTarget& target, std::string_view method, std::string_view path,
                                const SecretBytes& typed, const certs::TlsFiles& files, int timeout_ms);

}  // namespace qkms::cli
