// One connection and the request that is on it: connect if need be, send, receive. A state machine that never waits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bench/loadgen/key_ids.h"
#include "bench/loadgen/response_parser.h"
#include "bench/loadgen/tally.h"
#include "bench/loadgen/tls.h"

namespace qkms::bench {

// Thread rule: one thread.
class Exchange {
 public:
  enum class State { kClosed, kEstablishing, kIdle, kSending, kReceiving, kAnswered, kFailed };
  // kIdle: open, nothing under way. kAnswered and kFailed stay until settle().
  enum class Measured { kNo, kYes };

  State state() const { return state_; }
  bool under_way() const {
    return state_ == State::kEstablishing || state_ == State::kSending || state_ == State::kReceiving;
  }

  // Opens the connection with no request on it.
  void open(const Endpoint& endpoint, const TlsClient& client);
  // Starts with the text in request(), on the connection as it is or, where there is none, on one that open() has
  // begun.
  void begin(std::int64_t due_ns, Measured measured);
  // Goes as far as it can; call at each event of fd(), whose events are edge-triggered.
  void advance(std::span<char> buffer);
  void fail(Failure failure);
  // After an end: back to kIdle or kClosed.
  void settle();
  void close();

  std::string& request() { return request_; }
  const ResponseParser& response() const { return parser_; }
  const std::vector<KeyIdText>& ids() const { return ids_; }
  Failure failure() const { return failure_; }
  std::int64_t due_ns() const { return due_ns_; }
  bool measured() const { return measured_ == Measured::kYes; }
  bool has_request() const { return has_request_; }
  const TlsConnection& connection() const { return connection_; }

  std::int64_t deadline_ns = 0;  // the worker's

 private:
  void establish();
  void send();
  void receive(std::span<char> buffer);
  void look_while_idle(std::span<char> buffer);

  State state_ = State::kClosed;
  bool has_request_ = false;
  Measured measured_ = Measured::kNo;
  Failure failure_ = Failure::kConnect;
  std::int64_t due_ns_ = 0;
  TlsConnection connection_;
  std::string request_;
  ResponseParser parser_;
  KeyIdScanner scanner_;
  std::vector<KeyIdText> ids_;
};

}  // namespace qkms::bench
