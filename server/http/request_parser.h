// Bytes in, requests out: an HTTP/1.x parser without any I/O, around Beast's. Of a body it keeps no second copy.
//
// Operation: read into writable(), tell commit() how much came, act on what it says. After kComplete call take(), then
// resume() for what was sent behind the request. After kRejected the connection is to be closed: where the next request
// begins is not known any more. Limits: memory is bounded by the limits given, whatever is sent.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "server/http/framing.h"
#include "server/http/message.h"

namespace qkms::server::http {

struct ParserLimits {
  std::uint32_t max_header_bytes = 8 * 1024;
  std::uint32_t max_body_bytes = 64 * 1024;
};

class RequestParser {
 public:
  enum class State {
    kIdle,             // nothing of the next request has come
    kInHeader,         // it has begun
    kInBody,           // the header is complete, the body is not
    kExpectsContinue,  // as kInBody, and the client waits for 100 Continue; said once
    kComplete,
    kRejected,
  };

  explicit RequestParser(ParserLimits limits);
  ~RequestParser();

  std::span<std::uint8_t> writable();
  State commit(std::size_t bytes);
  State resume() { return commit(0); }

  // After kComplete, once.
  Request take();
  // After kComplete: whether the client's wish and version let the connection live on.
  Persistence persistence() const { return persistence_; }
  // After kRejected.
  const Refusal& refusal() const { return refusal_; }

 private:
  struct Beast;
  State advance();
  State advance_header();
  State advance_body();
  State finish_header();
  State reject(int status, std::string_view why);
  void start_next();
  std::span<const std::uint8_t> unread() const { return {buffer_.data() + begin_, end_ - begin_}; }
  std::size_t put(std::size_t bytes);

  const ParserLimits limits_;
  std::vector<std::uint8_t> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::unique_ptr<Beast> beast_;
  Request request_;
  Persistence persistence_ = Persistence::kClose;
  Refusal refusal_{400, ""};
  State state_ = State::kIdle;
};

}  // namespace qkms::server::http
