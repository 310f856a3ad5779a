#include "server/peer/transport.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <random>
#include <thread>
#include <utility>

#include "server/http/places.h"
#include "server/peer/backoff.h"
#include "server/peer/session.h"

namespace qkms::server::peer {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

// "host:port", "[v6]:port"; the configuration has been checked.
std::pair<std::string, std::string> split_address(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return {address, ""};
  std::string host = address.substr(0, colon);
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return {host, address.substr(colon + 1)};
}

}  // namespace

struct Transport::Core {
  struct Live {
    kms::SessionId id = 0;
    std::shared_ptr<Session> session;
  };

  using TimerPtr = std::shared_ptr<asio::steady_timer>;

  explicit Core(TransportSettings s) : settings(std::move(s)) {}

  Result<void> bind();
  asio::awaitable<void> accept_loop();
  void admit(tcp::socket socket);
  asio::awaitable<void> welcome(tcp::socket socket, std::string address, std::unique_ptr<http::Places::Place> place);
  asio::awaitable<Result<KmeId>> handshake_inbound(std::shared_ptr<Session> session);
  asio::awaitable<void> dial_forever(PeerConfig peer);
  asio::awaitable<Result<void>> dial(const PeerConfig& peer, TimerPtr timer);
  asio::awaitable<Result<void>> handshake_outbound(std::shared_ptr<Session> session, KmeId expected);
  asio::awaitable<void> live(std::shared_ptr<Session> session, KmeId peer);
  void end(const KmeId& peer, kms::SessionId id, const std::string& why);
  void close_live(const KmeId& peer, const std::string& why);
  bool may_connect_to_us(const KmeId& peer) const;
  bool is_peer(const KmeId& peer) const;
  bool is_dialled(const PeerConfig& peer) const;
  bool goes_on(const KmeId& peer, const TimerPtr& timer) const;
  Result<void> still_welcome(const Session& session, const KmeId& peer) const;
  void dial_peers();
  void replace(TransportSettings next);
  void spawn(asio::awaitable<void> coroutine);
  void close_all(const std::string& why);
  void resume();
  void shut_down();

  TransportSettings settings;
  TransportStats stats;
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  tcp::acceptor acceptor{io};
  asio::steady_timer accept_pause{io};
  std::uint16_t port = 0;
  std::map<KmeId, Live> sessions;
  std::vector<std::weak_ptr<Session>> outbound;  // being dialled
  std::map<KmeId, TimerPtr> redial;              // of the loops that dial
  kms::SessionId last_id = 0;
  const std::shared_ptr<http::Places> handshakes =
      std::make_shared<http::Places>(kMaxHandshakes, kMaxHandshakesOfOneAddress);
  bool stopping = false;
  bool paused = false;
  std::mt19937_64 random{std::random_device{}()};
  std::thread thread;
};

void Transport::Core::spawn(asio::awaitable<void> coroutine) {
  asio::co_spawn(io, std::move(coroutine), [](std::exception_ptr exception) {
    if (exception) spdlog::critical("peer transport: a coroutine ended by an exception");
  });
}

Result<void> Transport::Core::bind() {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(settings.address, error);
  if (error) return fail(ErrorCode::kInvalid, fmt::format("{} is not an IP address to listen on", settings.address));
  const tcp::endpoint endpoint(address, settings.port);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) port = acceptor.local_endpoint(error).port();
  if (!error) return {};
  return fail(ErrorCode::kIo,
              fmt::format("cannot listen on {} port {}: {}", settings.address, settings.port, error.message()));
}

// --- inbound ---------------------------------------------------------------------------------------------------------

asio::awaitable<void> Transport::Core::accept_loop() {
  while (!stopping) {
    auto [error, socket] = co_await acceptor.async_accept(kToken);
    if (!error) {
      admit(std::move(socket));
    } else if (!stopping) {
      accept_pause.expires_after(kAcceptPause);
      co_await accept_pause.async_wait(kToken);
    }
  }
}

void Transport::Core::admit(tcp::socket socket) {
  boost::system::error_code ignored;
  std::string address = socket.remote_endpoint(ignored).address().to_string();
  auto place = handshakes->take(address);
  if (!place || paused) {
    ++stats.refused;
    return;
  }
  spawn(welcome(std::move(socket), std::move(address), std::make_unique<http::Places::Place>(std::move(*place))));
}

bool Transport::Core::is_peer(const KmeId& peer) const {
  return std::ranges::find(settings.peers, peer, &PeerConfig::id) != settings.peers.end();
}

bool Transport::Core::may_connect_to_us(const KmeId& peer) const { return peer < settings.self && is_peer(peer); }

asio::awaitable<Result<KmeId>> Transport::Core::handshake_inbound(std::shared_ptr<Session> session) {
  Result<void> done = co_await session->tls_as_server();
  if (!done) co_return std::unexpected(done.error());
  Result<KmeId> peer = session->peer_name(settings.name_rule);
  if (!peer) co_return peer;
  if (!may_connect_to_us(*peer)) {
    co_return fail(ErrorCode::kUnauthorised, peer->str() + " is no configured peer that is to connect to this KME");
  }
  done = co_await session->websocket_as_server();
  if (!done) co_return std::unexpected(done.error());
  co_return peer;
}

asio::awaitable<void> Transport::Core::welcome(tcp::socket socket, std::string address,
                                               std::unique_ptr<http::Places::Place> place) {
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  const auto session =
      std::make_shared<Session>(std::move(socket), SSL_new(settings.server_tls.get()), settings.trust, stats);
  session->limit_handshake(settings.handshake_ms);
  const Result<KmeId> peer = co_await handshake_inbound(session);
  place.reset();
  if (!peer) {
    ++stats.refused;
    // Anybody can fail a handshake, and may not fill the log with it. Who has a certificate of ours, but the wrong one,
    // is news.
    const auto level = peer.error().code == ErrorCode::kUnauthorised ? spdlog::level::warn : spdlog::level::debug;
    spdlog::log(level, "peer connection from {} refused: {}", address, peer.error().text);
    session->close("refused");
    co_return;
  }
  if (!stopping) co_await live(session, *peer);
}

// --- outbound --------------------------------------------------------------------------------------------------------

asio::awaitable<Result<void>> Transport::Core::handshake_outbound(std::shared_ptr<Session> session, KmeId expected) {
  Result<void> done = co_await session->tls_as_client();
  if (!done) co_return done;
  const Result<KmeId> peer = session->peer_name(settings.name_rule);
  if (!peer) co_return std::unexpected(peer.error());
  if (*peer != expected) co_return fail(ErrorCode::kUnauthorised, "the certificate is that of " + peer->str());
  done = co_await session->websocket_as_client();
  co_return done;
}

// One attempt, and the whole life of the session if it succeeds.
asio::awaitable<Result<void>> Transport::Core::dial(const PeerConfig& peer, TimerPtr timer) {
  const auto [host, service] = split_address(peer.address.value_or(""));
  tcp::resolver resolver(io);
  auto [unresolved, endpoints] = co_await resolver.async_resolve(host, service, kToken);
  if (unresolved) co_return fail(ErrorCode::kPeerUnreachable, "no address for " + host + ": " + unresolved.message());

  auto session = std::shared_ptr<Session>();
  auto socket = std::make_shared<tcp::socket>(io);
  asio::steady_timer limit(io, std::chrono::milliseconds(settings.handshake_ms));
  limit.async_wait([socket](const boost::system::error_code& error) {
    boost::system::error_code ignored;
    if (!error) socket->close(ignored);
  });
  const auto [unconnected, endpoint] = co_await asio::async_connect(*socket, endpoints, kToken);
  limit.cancel();
  if (unconnected || stopping) co_return fail(ErrorCode::kPeerUnreachable, "cannot connect: " + unconnected.message());

  boost::system::error_code ignored;
  socket->set_option(tcp::no_delay(true), ignored);
  session = std::make_shared<Session>(std::move(*socket), SSL_new(settings.client_tls.get()), settings.trust, stats);
  outbound.push_back(session);
  session->limit_handshake(settings.handshake_ms);
  const Result<void> done = co_await handshake_outbound(session, peer.id);
  std::erase_if(outbound, [](const auto& one) { return one.expired(); });
  if (!done || !goes_on(peer.id, timer)) {
    session->close("refused");
    co_return done;
  }
  co_await live(session, peer.id);
  if (!session->useful()) co_return fail(ErrorCode::kPeerUnreachable, "the session ended before the first frame");
  co_return Result<void>();
}

// Whether it is us who connects, and to this very address.
bool Transport::Core::is_dialled(const PeerConfig& peer) const {
  return settings.self < peer.id && peer.address && std::ranges::find(settings.peers, peer) != settings.peers.end();
}

// A loop lives as long as its timer is the one in `redial`: so a peer never has two, however often it changes.
bool Transport::Core::goes_on(const KmeId& peer, const TimerPtr& timer) const {
  const auto found = redial.find(peer);
  return !stopping && found != redial.end() && found->second == timer;
}

asio::awaitable<void> Transport::Core::dial_forever(PeerConfig peer) {
  const auto timer = redial.at(peer.id);
  Backoff backoff;
  while (goes_on(peer.id, timer)) {
    if (paused) {
      timer->expires_at(asio::steady_timer::time_point::max());
      co_await timer->async_wait(kToken);
      backoff.reset();
      continue;
    }
    const Result<void> outcome = co_await dial(peer, timer);
    if (!goes_on(peer.id, timer)) break;
    if (outcome) {
      backoff.reset();
    } else {
      ++stats.failed_attempts;
      spdlog::info("peer {} at {}: {}", peer.id.str(), peer.address.value_or(""), outcome.error().text);
    }
    timer->expires_after(backoff.take(random));
    co_await timer->async_wait(kToken);
  }
}

// Those that are not being dialled yet.
void Transport::Core::dial_peers() {
  for (const PeerConfig& peer : settings.peers) {
    if (!is_dialled(peer) || redial.contains(peer.id)) continue;
    redial[peer.id] = std::make_shared<asio::steady_timer>(io);
    spawn(dial_forever(peer));
  }
}

// A peer that stays as it was keeps its loop, and any peer keeps its session as long as it may.
void Transport::Core::replace(TransportSettings next) {
  next.self = settings.self;
  next.push = std::move(settings.push);
  const TransportSettings before = std::exchange(settings, std::move(next));
  std::vector<std::pair<KmeId, std::string>> closing;
  for (const auto& [peer, live] : sessions) {
    if (const auto welcome = still_welcome(*live.session, peer); !welcome)
      closing.emplace_back(peer, welcome.error().text);
  }
  for (const auto& [peer, why] : closing) close_live(peer, why);
  for (const PeerConfig& peer : before.peers) {
    if (is_dialled(peer)) continue;
    const auto timer = redial.find(peer.id);
    if (timer == redial.end()) continue;
    timer->second->cancel();
    redial.erase(timer);
  }
  dial_peers();
}

// --- a live session --------------------------------------------------------------------------------------------------

// The settings may have been replaced during the handshake.
Result<void> Transport::Core::still_welcome(const Session& session, const KmeId& peer) const {
  if (paused) return fail(ErrorCode::kClosed, "there are no sessions while the store is not open");
  if (!is_peer(peer)) return fail(ErrorCode::kUnauthorised, "it is no peer any more");
  return session.verify_again(settings);
}

asio::awaitable<void> Transport::Core::live(std::shared_ptr<Session> session, KmeId peer) {
  if (const auto welcome = still_welcome(*session, peer); !welcome) {
    session->close(welcome.error().text);
    co_return;
  }
  close_live(peer, "a newer session of the same peer replaces it");
  session->established();
  const kms::SessionId id = ++last_id;
  const Result<void> told = settings.push(kms::PeerUp{peer, id});
  if (!told) {
    session->close(told.error().text);
    co_return;
  }
  sessions[peer] = {id, session};
  ++stats.sessions;
  spdlog::info("peer {}: session {} is up", peer.str(), id);
  Session::Deliver deliver = [this, peer, id](api::Frame frame) -> Result<void> {
    const auto found = sessions.find(peer);
    if (found == sessions.end() || found->second.id != id) return fail(ErrorCode::kPeerUnreachable, "replaced");
    return settings.push(kms::PeerFrame{peer, id, std::move(frame)});
  };
  const std::string why = co_await session->run(std::move(deliver));
  end(peer, id, why);
}

// Tells the engine, once for each session.
void Transport::Core::end(const KmeId& peer, kms::SessionId id, const std::string& why) {
  const auto found = sessions.find(peer);
  if (found == sessions.end() || found->second.id != id) return;
  found->second.session->close(why);
  sessions.erase(found);
  spdlog::info("peer {}: session {} is down: {}", peer.str(), id, why);
  // Refused only when the daemon stops, and then nobody needs to know.
  static_cast<void>(settings.push(kms::PeerDown{peer, id}));
}

void Transport::Core::close_live(const KmeId& peer, const std::string& why) {
  const auto found = sessions.find(peer);
  if (found != sessions.end()) end(peer, found->second.id, why);
}

void Transport::Core::resume() {
  paused = false;
  for (const auto& [peer, timer] : redial) timer->cancel();
}

void Transport::Core::close_all(const std::string& why) {
  while (!sessions.empty()) close_live(KmeId(sessions.begin()->first), why);
}

void Transport::Core::shut_down() {
  stopping = true;
  boost::system::error_code ignored;
  acceptor.close(ignored);
  accept_pause.cancel();
  for (const auto& [peer, timer] : redial) timer->cancel();
  for (const auto& weak : outbound) {
    if (const auto session = weak.lock()) session->close("the daemon stops");
  }
  close_all("the daemon stops");
  work.reset();
}

// --- the outside -----------------------------------------------------------------------------------------------------

Transport::Transport(std::unique_ptr<Core> core) : core_(std::move(core)) {}

Transport::~Transport() { stop(); }

Result<std::unique_ptr<Transport>> Transport::open(TransportSettings settings) {
  auto core = std::make_unique<Core>(std::move(settings));
  if (auto bound = core->bind(); !bound) return std::unexpected(bound.error());
  return std::unique_ptr<Transport>(new Transport(std::move(core)));
}

void Transport::start() {
  core_->spawn(core_->accept_loop());
  core_->dial_peers();
  core_->thread = std::thread([core = core_.get()] { core->io.run(); });
}

void Transport::stop() {
  if (!core_->thread.joinable()) return;
  asio::post(core_->io, [core = core_.get()] { core->shut_down(); });
  // Sessions in their handshake end by their deadline at the latest; there is no need to wait for them.
  asio::post(core_->io, [core = core_.get()] { core->io.stop(); });
  core_->thread.join();
}

void Transport::send(kms::SendEffect effect) {
  asio::post(core_->io, [core = core_.get(), effect = std::move(effect)] {
    const auto found = core->sessions.find(effect.peer);
    if (found != core->sessions.end() && found->second.id == effect.session) found->second.session->send(effect.frame);
  });
}

void Transport::close(kms::CloseEffect effect) {
  asio::post(core_->io,
             [core = core_.get(), effect = std::move(effect)] { core->end(effect.peer, effect.session, effect.why); });
}

void Transport::close_all() {
  asio::post(core_->io, [core = core_.get()] { core->close_all("the engine that had it is gone"); });
}

void Transport::pause() {
  asio::post(core_->io, [core = core_.get()] {
    core->paused = true;
    core->close_all("there are no sessions while the store is not open");
  });
}

void Transport::resume() {
  asio::post(core_->io, [core = core_.get()] { core->resume(); });
}

void Transport::replace(TransportSettings settings) {
  asio::post(core_->io,
             [core = core_.get(), settings = std::move(settings)]() mutable { core->replace(std::move(settings)); });
}

std::uint16_t Transport::port() const { return core_->port; }

const TransportStats& Transport::stats() const { return core_->stats; }

}  // namespace qkms::server::peer
