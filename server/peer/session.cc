#include "server/peer/session.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <exception>
#include <utility>

#include "api/peer/codec.h"
#include "certs/identity.h"
#include "certs/verify_again.h"

namespace qkms::server::peer {
namespace {

namespace asio = boost::asio;
namespace websocket = boost::beast::websocket;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr const char* kTarget = "/qkms/peer";
constexpr const char* kHost = "qkms";

// Beast ends a session whose other side breaks the protocol by a teardown of TLS, and that waits for the other side
// without a limit. This one, which Beast finds by its argument, closes the socket instead.
class TlsStream : public asio::ssl::stream<asio::ip::tcp::socket> {
 public:
  using stream::stream;
};

template <class Handler>
void async_teardown(boost::beast::role_type, TlsStream& stream, Handler&& handler) {
  boost::system::error_code outcome;
  stream.lowest_layer().close(outcome);
  asio::post(stream.get_executor(), boost::beast::bind_front_handler(std::forward<Handler>(handler), outcome));
}

Result<void> outcome(const char* what, const boost::system::error_code& error) {
  if (!error) return {};
  return fail(ErrorCode::kPeerUnreachable, std::string(what) + ": " + error.message());
}

}  // namespace

struct Session::Stream {
  Stream(asio::ip::tcp::socket socket, SSL* tls) : deadline(socket.get_executor()), websocket(std::move(socket), tls) {
    websocket.binary(true);
    websocket.auto_fragment(false);
    websocket.read_message_max(api::kMaxFrameBytes);
  }

  asio::steady_timer deadline;
  websocket::stream<TlsStream> websocket;
};

Session::Session(asio::ip::tcp::socket socket, SSL* tls, std::string trust, TransportStats& stats)
    : stream_(std::make_unique<Stream>(std::move(socket), tls)), trust_(std::move(trust)), stats_(stats) {}

Session::~Session() = default;

asio::awaitable<Result<void>> Session::tls_as_server() {
  const auto [error] = co_await stream_->websocket.next_layer().async_handshake(asio::ssl::stream_base::server, kToken);
  co_return outcome("TLS handshake", error);
}

asio::awaitable<Result<void>> Session::tls_as_client() {
  const auto [error] = co_await stream_->websocket.next_layer().async_handshake(asio::ssl::stream_base::client, kToken);
  co_return outcome("TLS handshake", error);
}

asio::awaitable<Result<void>> Session::websocket_as_server() {
  const auto [error] = co_await stream_->websocket.async_accept(kToken);
  co_return outcome("WebSocket handshake", error);
}

asio::awaitable<Result<void>> Session::websocket_as_client() {
  const auto [error] = co_await stream_->websocket.async_handshake(kHost, kTarget, kToken);
  co_return outcome("WebSocket handshake", error);
}

Result<KmeId> Session::peer_name(certs::NameRule rule) const {
  auto leaf = certs::verified_leaf(stream_->websocket.next_layer().native_handle());
  if (!leaf) return std::unexpected(leaf.error());
  const auto name = certs::name_in(leaf->get(), rule);
  if (!name) return std::unexpected(name.error());
  return KmeId::parse(*name);
}

Result<void> Session::verify_again(const TransportSettings& settings) const {
  if (trust_ == settings.trust) return {};
  auto& tls = stream_->websocket.next_layer();
  SSL_CTX* context = SSL_is_server(tls.native_handle()) == 1 ? settings.server_tls.get() : settings.client_tls.get();
  return certs::verify_again(context, tls.native_handle());
}

void Session::limit_handshake(std::uint32_t open_ms) {
  stream_->deadline.expires_after(std::chrono::milliseconds(open_ms));
  stream_->deadline.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!error && self) self->close("the handshake took too long");
  });
}

void Session::established() { stream_->deadline.cancel(); }

asio::awaitable<std::string> Session::run(Deliver deliver) {
  boost::beast::flat_buffer buffer;
  while (!closed_because_) {
    const auto [error, size] = co_await stream_->websocket.async_read(buffer, kToken);
    if (error) {
      close(error.message());
      break;
    }
    ++stats_.frames_received;
    const auto* bytes = static_cast<const std::uint8_t*>(buffer.cdata().data());
    Result<api::Frame> frame = api::decode({bytes, buffer.size()});
    buffer.consume(buffer.size());
    if (!frame) {
      ++stats_.undecodable_frames;
      close("a frame that cannot be decoded: " + frame.error().text);
      break;
    }
    useful_ = true;
    if (const auto taken = deliver(std::move(*frame)); !taken) {
      ++stats_.overflows;
      close(taken.error().text);
    }
  }
  co_return closed_because_.value_or("");
}

void Session::send(const api::Frame& frame) {
  if (closed_because_) return;
  std::string bytes = api::encode(frame);
  unsent_bytes_ += bytes.size();
  if (unsent_bytes_ > kMaxUnsentBytes) {
    ++stats_.overflows;
    close("it does not take what we send");
    return;
  }
  unsent_.push_back(std::move(bytes));
  if (std::exchange(writing_, true)) return;
  asio::co_spawn(stream_->websocket.get_executor(), write_queued(),
                 [self = shared_from_this()](std::exception_ptr exception) {
                   if (exception) self->close("internal error while writing");
                 });
}

asio::awaitable<void> Session::write_queued() {
  while (!unsent_.empty() && !closed_because_) {
    const asio::const_buffer buffer(unsent_.front().data(), unsent_.front().size());
    const auto [error, written] = co_await stream_->websocket.async_write(buffer, kToken);
    if (error) {
      close(error.message());
      break;
    }
    ++stats_.frames_sent;
    unsent_bytes_ -= unsent_.front().size();
    unsent_.pop_front();
  }
  writing_ = false;
}

// No WebSocket closing handshake: the other side may be gone, and nothing depends on a polite end.
void Session::close(std::string why) {
  if (closed_because_) return;
  closed_because_ = std::move(why);
  stream_->deadline.cancel();
  boost::system::error_code ignored;
  stream_->websocket.next_layer().lowest_layer().close(ignored);
}

}  // namespace qkms::server::peer
