#include "server/http/connection.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <new>
#include <utility>

#include "base/failpoint.h"
#include "certs/verify_again.h"

namespace qkms::server::http {
namespace {

namespace asio = boost::asio;

// Outcomes of I/O are values here, so that no exception runs through a coroutine.
constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

// How long a client has to take note that we hang up.
constexpr std::uint32_t kGoodbyeMs = 1000;

SSL* session_of(SSL_CTX* context) {
  SSL* session = SSL_new(context);
  if (session == nullptr) throw std::bad_alloc();
  return session;
}

}  // namespace

Connection::Connection(asio::ip::tcp::socket socket, Admission admission, Settings settings, ListenerStats& stats,
                       Handler& handler)
    : settings_(std::move(settings)),
      stats_(stats),
      handler_(handler),
      place_(std::move(admission.connection)),
      handshake_place_(std::in_place, std::move(admission.handshake)),
      names_(std::move(admission.names)),
      penalties_(std::move(admission.penalties)),
      client_{"", std::move(admission.address)},
      trusted_by_(settings_->trust),
      stream_(std::move(socket), session_of(settings_->tls.get())),
      answer_ready_(stream_.get_executor(), Clock::time_point::max()),
      parser_({settings_->limits.max_header_bytes, settings_->limits.max_body_bytes}) {
  allow_ms(settings_->limits.handshake_ms);
}

void Connection::allow_ms(std::uint32_t milliseconds) {
  deadline_ = Clock::now() + std::chrono::milliseconds(milliseconds);
}

void Connection::sweep(Clock::time_point now) {
  if (closed_ || now < deadline_) return;
  if (waits_for_request_) return hang_up();
  ++stats_.timed_out;
  close();
}

// Ends the wait for a request; run() then says goodbye, so that the client knows that nothing of its was cut off.
void Connection::hang_up() {
  waits_for_request_ = false;
  allow_ms(kGoodbyeMs);
  boost::system::error_code ignored;
  stream_.lowest_layer().cancel(ignored);
}

void Connection::drain() {
  draining_ = true;
  if (waits_for_request_) hang_up();
}

void Connection::close() {
  closed_ = true;
  boost::system::error_code ignored;
  stream_.lowest_layer().close(ignored);
  answer_ready_.cancel();
}

asio::awaitable<bool> Connection::shake_hands() {
  const auto [error] = co_await stream_.async_handshake(asio::ssl::stream_base::server, kToken);
  if (error) {
    ++stats_.failed_handshakes;
    penalties_->failed(client_.address, Penalties::Clock::now());
    close();
  }
  co_return !error;
}

asio::awaitable<void> Connection::run() {
  bool goes_on = let_in();
  while (goes_on) goes_on = co_await serve_one();
  if (!closed_) co_await say_goodbye();
  close();
}

// After the handshake: who is it, and is there a place for it?
bool Connection::let_in() {
  handshake_place_.reset();
  established_ = true;
  if (!judge_name()) {
    spdlog::debug("\"{}\" from {} has a good certificate and is not served", client_.name, client_.address);
    ++stats_.not_served;
    denied_ = true;
    client_.name.clear();  // the handler denies whoever has none
  }
  judge_chain();  // the settings may have been replaced during the handshake
  if (denied_) return true;
  auto place = names_->take(client_.name);
  if (!place) {
    ++stats_.turned_away;
    return false;
  }
  name_place_.emplace(std::move(*place));
  return true;
}

bool Connection::judge_name() {
  client_.name = settings_->name_of(stream_.native_handle());
  return !client_.name.empty() && settings_->serves(client_.name);
}

void Connection::replace(Settings settings) {
  settings_ = std::move(settings);
  if (!established_ || denied_) return;
  if (!judge_name()) deny();
}

void Connection::judge_chain() {
  if (!established_ || closed_ || trusted_by_ == settings_->trust) return;
  trusted_by_ = settings_->trust;
  if (denied_) return;
  if (const auto good = certs::verify_again(settings_->tls.get(), stream_.native_handle()); !good) {
    spdlog::warn("{} is not let in any more: {}", client_.name, good.error().text);
    deny();
  }
}

// It was served until now.
void Connection::deny() {
  ++stats_.evicted;
  denied_ = true;
  client_.name.clear();
  evicted_by_ = Clock::now() + std::chrono::milliseconds(Listener::kEvictionMs);
  if (reading_) deadline_ = std::min(deadline_, evicted_by_);
}

// False: this was the last one.
asio::awaitable<bool> Connection::serve_one() {
  const State state = co_await read_request();
  if (state == State::kRejected) {
    const Response refusal = handler_.refuse(parser_.refusal());
    SecretBytes bytes = serialize(refusal, Persistence::kClose, BodyUse::kSend);
    co_await write(std::move(bytes));
    co_return false;
  }
  if (state != State::kComplete) co_return false;

  const Persistence wanted = parser_.persistence();
  Request request = parser_.take();
  judge_chain();
  const BodyUse body_use = request.method == "HEAD" ? BodyUse::kOmit : BodyUse::kSend;
  Response response = co_await ask_handler(std::move(request));
  if (closed_) co_return false;
  const Persistence persistence = draining_ || denied_ ? Persistence::kClose : wanted;
  SecretBytes bytes = serialize(response, persistence, body_use);
  response.body.clear();
  const bool written = co_await write(std::move(bytes));
  co_return written&& persistence != Persistence::kClose && !draining_ && !denied_;
}

// Each phase has a deadline of its own, which starts with the phase: a byte now and then does not prolong it.
void Connection::enter(State state) {
  waits_for_request_ = state == State::kIdle;
  if (state == phase_) return;
  phase_ = state;
  if (state == State::kIdle) allow_ms(settings_->limits.idle_ms);
  if (state == State::kInHeader) allow_ms(settings_->limits.header_ms);
  if (state == State::kInBody || state == State::kExpectsContinue) allow_ms(settings_->limits.body_ms);
  deadline_ = std::min(deadline_, evicted_by_);
}

// kComplete, kRejected, or anything else when the client has gone.
asio::awaitable<Connection::State> Connection::read_request() {
  phase_ = State::kComplete;
  reading_ = true;
  State state = parser_.resume();
  while (state != State::kComplete && state != State::kRejected) {
    enter(state);
    if (state == State::kIdle && draining_) break;
    if (state == State::kExpectsContinue) {
      SecretBytes bytes = body_of(kContinue);
      const bool written = co_await write(std::move(bytes));
      if (!written) break;
      phase_ = State::kComplete;
      enter(State::kInBody);
    }
    const std::span<std::uint8_t> space = parser_.writable();
    const asio::mutable_buffer buffer(space.data(), space.size());
    const auto [error, bytes_read] = co_await stream_.async_read_some(buffer, kToken);
    if (error) break;
    state = parser_.commit(bytes_read);
  }
  waits_for_request_ = reading_ = false;
  co_return state;
}

void Connection::answered(Response response) {
  answer_ = std::move(response);
  answer_ready_.cancel();
}

asio::awaitable<Response> Connection::ask_handler(Request request) {
  allow_ms(settings_->limits.write_ms);
  answer_.reset();
  // The answer always comes by way of the event loop: so it cannot slip in between here and the wait below.
  handler_.handle(client_, std::move(request), [self = shared_from_this()](MakeResponse make) mutable {
    auto executor = self->stream_.get_executor();
    asio::post(executor, [self = std::move(self), make = std::move(make)]() mutable { self->answered(make()); });
  });
  co_await answer_ready_.async_wait(kToken);
  // Without an answer the connection has been closed meanwhile, and nobody will see this.
  Response response;
  if (answer_) response = std::move(*answer_);
  answer_.reset();
  co_return response;
}

// One buffer, one write: given a single contiguous buffer, asio::ssl passes it to SSL_write as it is. A sequence of
// buffers would be copied together on the stack first, and key bits would stay there. For the same reason this is no
// beast::ssl_stream, which flattens into a buffer of its own.
asio::awaitable<bool> Connection::write(SecretBytes bytes) {
  allow_ms(settings_->limits.write_ms);
  asio::const_buffer buffer(bytes.reveal().data(), bytes.size());
  if (is_armed(Failpoint::kResponseMidWrite)) {
    const asio::const_buffer half(buffer.data(), buffer.size() / 2);
    co_await asio::async_write(stream_, half, kToken);
    at_failpoint(Failpoint::kResponseMidWrite);
    buffer += half.size();
  }
  const auto [error, bytes_written] = co_await asio::async_write(stream_, buffer, kToken);
  co_return !error && bytes_written == buffer.size();
}

// A close with unread input makes TCP send a reset, and the client may lose the answer that it was about to read. So:
// close_notify, then read away what still comes until the client hangs up too.
asio::awaitable<void> Connection::say_goodbye() {
  allow_ms(kGoodbyeMs);
  co_await stream_.async_shutdown(kToken);
  if (closed_) co_return;
  boost::system::error_code ignored;
  stream_.next_layer().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  std::array<std::uint8_t, 512> rest;
  const asio::mutable_buffer buffer(rest.data(), rest.size());
  for (bool more = true; more && !closed_;) {
    const auto [error, bytes_read] = co_await stream_.next_layer().async_read_some(buffer, kToken);
    more = !error && bytes_read > 0;
  }
}

}  // namespace qkms::server::http
