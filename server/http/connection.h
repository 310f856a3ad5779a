// One HTTPS connection: handshake, requests one after the other, goodbye. Internal to the listener.
//
// Operation: shake_hands() and then run() are its life, coroutines; everything else is called on the same thread.
// Limits: at any time there is a deadline; sweep() closes the socket when it has passed, which ends whatever run()
// waits for.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <optional>

#include "server/http/handler.h"
#include "server/http/listener.h"
#include "server/http/penalties.h"
#include "server/http/places.h"
#include "server/http/request_parser.h"

namespace qkms::server::http {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;

  using Settings = std::shared_ptr<const ListenerSettings>;
  struct Admission {
    Places::Place connection, handshake;
    std::shared_ptr<Places> names;
    std::shared_ptr<Penalties> penalties;
    std::string address;
  };

  // `stats` and `handler` must outlive the connection. Throws when there is no memory for TLS.
  Connection(boost::asio::ip::tcp::socket socket, Admission admission, Settings settings, ListenerStats& stats,
             Handler& handler);

  // False: it failed, and the connection is closed.
  boost::asio::awaitable<bool> shake_hands();
  // After it: requests, one after the other, and goodbye.
  boost::asio::awaitable<void> run();

  // Other settings: looks again at who is at the other end, but for verifying the chain, which judge_chain() does.
  void replace(Settings settings);
  void judge_chain();

  // Closes it if its deadline has passed.
  void sweep(Clock::time_point now);
  // Takes no further request: ends now if it waits for one, else after the answer.
  void drain();
  void close();

 private:
  using State = RequestParser::State;
  boost::asio::awaitable<bool> serve_one();
  boost::asio::awaitable<State> read_request();
  boost::asio::awaitable<Response> ask_handler(Request request);
  boost::asio::awaitable<bool> write(SecretBytes bytes);
  boost::asio::awaitable<void> say_goodbye();
  void hang_up();
  bool let_in();
  bool judge_name();
  void deny();
  void enter(State state);
  void allow_ms(std::uint32_t milliseconds);
  void answered(Response response);

  Settings settings_;
  ListenerStats& stats_;
  Handler& handler_;
  Places::Place place_;
  std::optional<Places::Place> handshake_place_, name_place_;
  std::shared_ptr<Places> names_;
  std::shared_ptr<Penalties> penalties_;
  Client client_;
  std::string trusted_by_;  // ListenerSettings::trust when the chain was verified
  bool established_ = false;
  bool denied_ = false;  // the next answer is the last one
  boost::asio::ssl::stream<boost::asio::ip::tcp::socket> stream_;
  boost::asio::steady_timer answer_ready_;  // never expires; cancelled to wake the coroutine
  std::optional<Response> answer_;
  RequestParser parser_;
  Clock::time_point deadline_;
  State phase_ = State::kComplete;
  Clock::time_point evicted_by_ = Clock::time_point::max();  // reading ends then at the latest
  bool waits_for_request_ = false;
  bool reading_ = false;
  bool draining_ = false;
  bool closed_ = false;
};

}  // namespace qkms::server::http
