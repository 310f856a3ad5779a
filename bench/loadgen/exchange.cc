// The surprise: once a request is sent nothing is read until the socket's next event, which saves a system call for
// each request. With edge-triggered events that is safe only if the request went out at once; otherwise an event may
// have passed, and reading is tried.
#include "bench/loadgen/exchange.h"

namespace qkms::bench {

void Exchange::open(const Endpoint& endpoint, const TlsClient& client) {
  has_request_ = false;
  state_ = State::kEstablishing;
  if (connection_.open(endpoint, client) == Io::kFailed) fail(Failure::kConnect);
}

void Exchange::begin(std::int64_t due_ns, Measured measured) {
  due_ns_ = due_ns;
  measured_ = measured;
  has_request_ = true;
  parser_.reset();
  scanner_.reset();
  ids_.clear();
  if (state_ != State::kIdle) return;  // establish() goes on to send
  state_ = State::kSending;
  send();
}

void Exchange::advance(std::span<char> buffer) {
  if (state_ == State::kIdle) return look_while_idle(buffer);
  if (state_ == State::kEstablishing) establish();
  if (state_ == State::kSending) send();
  if (state_ == State::kReceiving) receive(buffer);
}

void Exchange::establish() {
  const Io io = connection_.establish();
  if (io == Io::kWait) return;
  if (io != Io::kDone) return fail(connection_.tcp_connected() ? Failure::kHandshake : Failure::kConnect);
  state_ = has_request_ ? State::kSending : State::kIdle;
}

void Exchange::send() {
  const Io io = connection_.write(request_);
  if (io == Io::kDone) state_ = State::kReceiving;
  if (io == Io::kEnded || io == Io::kFailed) fail(Failure::kClosed);
}

void Exchange::receive(std::span<char> buffer) {
  while (true) {
    const auto [io, data] = connection_.read(buffer);
    if (io == Io::kWait) return;
    if (io != Io::kDone) return fail(Failure::kClosed);
    const ResponseParser::Fed fed = parser_.feed(data);
    scanner_.feed(fed.body, ids_);
    if (parser_.bad() || fed.consumed < data.size()) return fail(Failure::kMalformed);
    if (parser_.done()) break;
  }
  state_ = State::kAnswered;
}

// Session tickets and goodbyes come without being asked for; anything else is out of place.
void Exchange::look_while_idle(std::span<char> buffer) {
  const auto [io, data] = connection_.read(buffer);
  if (io != Io::kWait) close();
}

void Exchange::fail(Failure failure) {
  failure_ = failure;
  state_ = State::kFailed;
  connection_.close();
}

void Exchange::settle() {
  if (state_ == State::kAnswered && !parser_.keeps_connection()) connection_.close();
  state_ = connection_.is_open() ? State::kIdle : State::kClosed;
  has_request_ = false;
}

void Exchange::close() {
  connection_.close();
  state_ = State::kClosed;
}

}  // namespace qkms::bench
