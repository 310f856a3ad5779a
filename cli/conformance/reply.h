// An answer as checks look at it: status, headers, JSON, and key bits apart from all text.
#pragma once

#include "api/http_answer.h"
#include "cli/conformance/body.h"

namespace qkms::cli::conformance {

struct Reply {
  std::string no_answer;  // why there was none; "" when there was one
  api::HttpAnswer http;   // without its body, which is here:
  std::size_t body_bytes = 0;
  Result<api::JsonValue> json = fail(ErrorCode::kInvalid, "there is no answer");
  std::string text;                          // the body, without secrets; "" when it held keys
  std::optional<Result<KeyContainer>> keys;  // of a 200 to Get key and Get key with key IDs

  bool answered() const { return no_answer.empty(); }
  int status() const { return http.status; }  // 0 when there was no answer
  // The Error body's message; nothing when there is no such body.
  const std::string* message() const;
  // The keys of a good container; none otherwise.
  const std::vector<Key>& got() const;
  std::vector<std::string> key_ids() const;
  // One line for people, never with a key bit: "200, 2 keys of 256 bits, base64" or "400 {...}".
  std::string summary() const;
};

// Consumes the answer.
Reply reply_of(Result<api::HttpAnswer> answer, Carries carries);

}  // namespace qkms::cli::conformance
