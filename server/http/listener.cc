#include "server/http/listener.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <set>
#include <utility>
#include <vector>

#include "server/http/connection.h"

namespace qkms::server::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr auto kSweepPeriod = std::chrono::milliseconds(100);
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

// Chains that are verified again in one go: some milliseconds, during which the thread serves nobody.
constexpr std::size_t kJudgedAtOnce = 16;

}  // namespace

// Everything that outlives the Listener object while connections are left; they and the timers hold on to it.
struct Listener::Core : std::enable_shared_from_this<Listener::Core> {
  // The connections of one I/O thread; touched on that thread only.
  struct Shard {
    Shard(asio::io_context& loop, LaterQueue& queue) : io(loop), later(queue), timer(loop) {}
    asio::io_context& io;
    LaterQueue& later;
    asio::steady_timer timer;
    std::set<std::shared_ptr<Connection>> connections;
    Connection::Settings settings;
    bool draining = false;
    bool stopped = false;
  };

  Core(ListenerSettings s, Handler& h, IoThreads& threads) : handler(h), acceptor(threads.at(0)), pause(threads.at(0)) {
    const auto settings = std::make_shared<const ListenerSettings>(std::move(s));
    for (std::size_t i = 0; i < threads.size(); ++i) {
      shards.push_back(std::make_unique<Shard>(threads.at(i), threads.later_at(i)));
      shards.back()->settings = settings;
    }
    set_limits(settings->limits);
  }

  Result<void> bind(const ListenerSettings& settings);
  void start();
  asio::awaitable<void> accept_loop();
  void admit(tcp::socket socket, Shard& shard);
  void serve(tcp::socket socket, Shard& shard, Connection::Admission admission);
  void converse(Shard& shard, const std::shared_ptr<Connection>& connection);
  void finished(Shard& shard, const std::shared_ptr<Connection>& connection, std::exception_ptr exception);
  void sweep(Shard& shard);
  void set_limits(const ServerLimits& limits);
  void replace(Shard& shard, const Connection::Settings& settings);
  void judge_chains(Shard& shard, std::vector<std::weak_ptr<Connection>> left);
  template <class Function>
  void on_each_shard(Function function);
  bool wait_until_idle(std::chrono::milliseconds limit);

  Handler& handler;
  const std::shared_ptr<Places> places = std::make_shared<Places>(0, 0);
  const std::shared_ptr<Places> handshakes = std::make_shared<Places>(0, 0);
  const std::shared_ptr<Penalties> penalties = std::make_shared<Penalties>();
  const std::shared_ptr<Places> names = std::make_shared<Places>(0, 0);
  ListenerStats stats;
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  std::uint16_t port = 0;
  std::vector<std::unique_ptr<Shard>> shards;
  std::mutex mutex;
  std::condition_variable idle;
};

void Listener::Core::set_limits(const ServerLimits& limits) {
  places->set_limits(limits.max_connections, limits.max_connections_per_client);
  handshakes->set_limits(limits.max_handshakes, limits.max_handshakes_per_client);
  penalties->set_limit(limits.failed_handshakes_per_s);
  names->set_limits(limits.max_connections, limits.max_connections_per_name);
}

Result<void> Listener::Core::bind(const ListenerSettings& settings) {
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

void Listener::Core::start() {
  const auto self = shared_from_this();
  asio::co_spawn(acceptor.get_executor(), accept_loop(), [self](std::exception_ptr exception) {
    if (exception) ++self->stats.internal_errors;
  });
  on_each_shard([self](Shard& shard) { self->sweep(shard); });
}

asio::awaitable<void> Listener::Core::accept_loop() {
  for (std::size_t next = 0; acceptor.is_open(); ++next) {
    Shard& shard = *shards[next % shards.size()];
    auto [error, socket] = co_await acceptor.async_accept(shard.io, kToken);
    if (!error) {
      admit(std::move(socket), shard);
    } else if (error != asio::error::connection_aborted && acceptor.is_open()) {
      // Out of descriptors or memory: trying again at once would only burn the processor.
      ++stats.accept_pauses;
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(kToken);
    }
  }
}

void Listener::Core::admit(tcp::socket socket, Shard& shard) {
  boost::system::error_code error;
  const auto remote = socket.remote_endpoint(error);
  if (error) return;
  const std::string address = remote.address().to_string();
  auto place = places->take(address);
  auto handshake = handshakes->take(address);
  if (!place || !handshake || !penalties->lets_in(address, Penalties::Clock::now())) {
    ++stats.turned_away;
    return;
  }
  ++stats.accepted;
  ++stats.open;
  asio::post(shard.io, [self = shared_from_this(), &shard, socket = std::move(socket),
                        admission = Connection::Admission{std::move(*place), std::move(*handshake), names, penalties,
                                                          address}]() mutable {
    self->serve(std::move(socket), shard, std::move(admission));
  });
}

void Listener::Core::serve(tcp::socket socket, Shard& shard, Connection::Admission admission) {
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  if (shard.draining) return finished(shard, nullptr, nullptr);
  std::shared_ptr<Connection> connection;
  try {
    connection = std::make_shared<Connection>(std::move(socket), std::move(admission), shard.settings, stats, handler);
  } catch (const std::bad_alloc&) {
    return finished(shard, nullptr, std::current_exception());
  }
  shard.connections.insert(connection);
  // The handshake is work that may wait; what comes after it is not.
  asio::co_spawn(LaterExecutor(shard.later), connection->shake_hands(),
                 [self = shared_from_this(), &shard, connection](std::exception_ptr exception, bool done) {
                   if (exception || !done) return self->finished(shard, connection, exception);
                   self->converse(shard, connection);
                 });
}

void Listener::Core::converse(Shard& shard, const std::shared_ptr<Connection>& connection) {
  asio::co_spawn(shard.io, connection->run(),
                 [self = shared_from_this(), &shard, connection](std::exception_ptr exception) {
                   self->finished(shard, connection, exception);
                 });
}

void Listener::Core::replace(Shard& shard, const Connection::Settings& settings) {
  const bool other_trust = settings->trust != shard.settings->trust;
  shard.settings = settings;
  std::vector<std::weak_ptr<Connection>> all;
  for (const auto& connection : shard.connections) {
    connection->replace(settings);
    if (other_trust) all.push_back(connection);
  }
  judge_chains(shard, std::move(all));
}

// A few at a time, so that requests on other connections do not wait for all of them.
void Listener::Core::judge_chains(Shard& shard, std::vector<std::weak_ptr<Connection>> left) {
  for (std::size_t judged = 0; judged < kJudgedAtOnce && !left.empty(); ++judged) {
    if (const auto connection = left.back().lock()) connection->judge_chain();
    left.pop_back();
  }
  if (left.empty()) return;
  asio::post(shard.io, [self = shared_from_this(), &shard, left = std::move(left)]() mutable {
    self->judge_chains(shard, std::move(left));
  });
}

void Listener::Core::finished(Shard& shard, const std::shared_ptr<Connection>& connection,
                              std::exception_ptr exception) {
  if (exception) {
    ++stats.internal_errors;
    spdlog::error("a connection ended by an exception");
  }
  if (connection) {
    connection->close();
    shard.connections.erase(connection);
  }
  const std::lock_guard lock(mutex);
  if (--stats.open == 0) idle.notify_all();
}

// One timer for all connections of a thread: cheaper than one for each, since nearly all deadlines are never reached.
void Listener::Core::sweep(Shard& shard) {
  if (shard.stopped) return;
  const auto now = Connection::Clock::now();
  for (const auto& connection : shard.connections) connection->sweep(now);
  shard.timer.expires_after(kSweepPeriod);
  shard.timer.async_wait([self = shared_from_this(), &shard](const boost::system::error_code& error) {
    if (!error) self->sweep(shard);
  });
}

template <class Function>
void Listener::Core::on_each_shard(Function function) {
  for (auto& shard : shards) {
    asio::post(shard->io, [self = shared_from_this(), one = shard.get(), function]() mutable { function(*one); });
  }
}

bool Listener::Core::wait_until_idle(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex);
  return idle.wait_for(lock, limit, [this] { return stats.open == 0; });
}

Result<std::unique_ptr<Listener>> Listener::open(ListenerSettings settings, Handler& handler, IoThreads& threads) {
  auto core = std::make_shared<Core>(std::move(settings), handler, threads);
  if (auto bound = core->bind(*core->shards.front()->settings); !bound) return std::unexpected(bound.error());
  return std::unique_ptr<Listener>(new Listener(std::move(core)));
}

Listener::~Listener() { stop(std::chrono::milliseconds(0)); }

void Listener::start() { core_->start(); }

std::uint16_t Listener::port() const { return core_->port; }

const ListenerStats& Listener::stats() const { return core_->stats; }

void Listener::replace(ListenerSettings settings) {
  core_->set_limits(settings.limits);
  core_->on_each_shard([core = core_.get(), next = std::make_shared<const ListenerSettings>(std::move(settings))](
                           Core::Shard& shard) { core->replace(shard, next); });
}

void Listener::stop(std::chrono::milliseconds drain) {
  if (std::exchange(stopped_, true)) return;
  asio::post(core_->acceptor.get_executor(), [core = core_] {
    boost::system::error_code ignored;
    core->acceptor.close(ignored);
    core->pause.cancel();
  });
  core_->on_each_shard([](Core::Shard& shard) {
    shard.draining = true;
    const auto connections = shard.connections;
    for (const auto& connection : connections) connection->drain();
  });
  core_->wait_until_idle(drain);
  core_->on_each_shard([](Core::Shard& shard) {
    shard.stopped = true;
    shard.timer.cancel();
    const auto connections = shard.connections;
    for (const auto& connection : connections) connection->close();
  });
  // Closing takes effect on the connections' own threads, and they refer to the handler.
  core_->wait_until_idle(std::chrono::seconds(5));
}

}  // namespace qkms::server::http
