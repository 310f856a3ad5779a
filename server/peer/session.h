// One WebSocket session with a peer KME, from the TLS handshake to the last frame. Internal to the transport.
//
// Concurrency: the transport's thread only. Operation: handshake, then run(); close() ends both at any time.
#pragma once

#include <openssl/ssl.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/peer/message.h"
#include "certs/rules.h"
#include "kms/event.h"
#include "server/peer/transport.h"

namespace qkms::server::peer {

class Session : public std::enable_shared_from_this<Session> {
 public:
  using Deliver = std::function<Result<void>(api::Frame)>;

  // Takes `tls` over. `trust` as in TransportSettings, when the context of `tls` was made.
  Session(boost::asio::ip::tcp::socket socket, SSL* tls, std::string trust, TransportStats& stats);
  ~Session();

  // TLS, whose name the caller then checks, and WebSocket. An Error's text says what went wrong.
  boost::asio::awaitable<Result<void>> tls_as_server();
  boost::asio::awaitable<Result<void>> tls_as_client();
  boost::asio::awaitable<Result<void>> websocket_as_server();
  boost::asio::awaitable<Result<void>> websocket_as_client();
  Result<KmeId> peer_name(certs::NameRule rule) const;
  // After a handshake: would the other side's chain still be let in? Looks only when `trust` is another one by now.
  Result<void> verify_again(const TransportSettings& settings) const;

  // Closes the socket if `open_ms` pass before established().
  void limit_handshake(std::uint32_t open_ms);
  void established();

  // Reads frames until the session ends; returns why.
  boost::asio::awaitable<std::string> run(Deliver deliver);
  void send(const api::Frame& frame);
  void close(std::string why);

  bool useful() const { return useful_; }  // at least one good frame came

 private:
  struct Stream;
  boost::asio::awaitable<void> write_queued();

  std::unique_ptr<Stream> stream_;
  const std::string trust_;
  TransportStats& stats_;
  std::deque<std::string> unsent_;
  std::size_t unsent_bytes_ = 0;
  bool writing_ = false;
  bool useful_ = false;
  std::optional<std::string> closed_because_;
};

}  // namespace qkms::server::peer
