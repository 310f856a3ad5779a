// An HTTP request as the routes see it, and what they answer. Nothing of Beast or Asio here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"

namespace qkms::server::http {

struct Request {
  std::string method;
  std::string target;            // as sent: origin-form, absolute-form or worse; still percent-encoded
  SecretBytes body;              // may hold what an operator typed (a passphrase), never key bits
  std::string content_type;      // empty: not given
  std::string content_encoding;  // likewise
};

struct Response {
  int status = 200;
  std::string_view content_type;  // empty: no such header
  std::string allow;              // for 405, RFC 9110 §10.2.1; empty: no such header
  std::optional<int> retry_after_s;
  SecretBytes body;
};

// Text that is no secret, as a body; and a body that holds none, as text, for as long as it lives.
SecretBytes body_of(std::string_view text);
inline std::string_view text_of(const SecretBytes& body) {
  return {reinterpret_cast<const char*>(body.reveal().data()), body.size()};
}

enum class Persistence {
  kKeepAlive,
  kKeepAliveSaid,  // HTTP/1.0: the client keeps the connection only when the answer says so
  kClose
};
enum class BodyUse { kSend, kOmit };  // kOmit: the answer to HEAD has the headers only

// The whole answer, header and body, in one buffer that wipes itself.
SecretBytes serialize(const Response& response, Persistence persistence, BodyUse body_use);

inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

std::string_view reason_phrase(int status);

}  // namespace qkms::server::http
