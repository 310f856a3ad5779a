// An HTTPS listener: accepts, bounds, times and serves connections, and hands each whole request to a Handler.
//
// Operation: open() binds, start() begins to accept; replace() puts other settings in force, for open connections too;
// stop() refuses new connections, lets requests under way finish until a deadline, closes. Concurrency: one acceptor
// hands sockets to the I/O threads in turn; a connection stays on its thread, so its state needs no lock. Limits:
// ServerLimits bounds connections, bytes and the time of every phase; a connection that oversteps is closed.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "server/config.h"
#include "server/http/handler.h"
#include "server/http/io_threads.h"

namespace qkms::server::http {

struct ListenerStats {
  std::atomic<std::uint64_t> accepted = 0;
  std::atomic<std::uint64_t> turned_away = 0;  // too many connections, handshakes, or connections of one name
  std::atomic<std::uint64_t> evicted = 0;      // would not be let in any more after a replace()
  std::atomic<std::uint64_t> not_served = 0;   // a good certificate of nobody who is served
  std::atomic<std::uint64_t> failed_handshakes = 0;
  std::atomic<std::uint64_t> timed_out = 0;
  std::atomic<std::uint64_t> accept_pauses = 0;    // out of descriptors or memory
  std::atomic<std::uint64_t> internal_errors = 0;  // exceptions: our own mistakes
  std::atomic<std::int64_t> open = 0;
};

struct ListenerSettings {
  std::string address;
  std::uint16_t port = 0;
  std::shared_ptr<SSL_CTX> tls;
  std::string trust;  // changes when other certificates than before are to be believed
  ServerLimits limits;
  // The caller's name from a connection whose handshake is done, or empty. Called on I/O threads.
  std::function<std::string(const SSL*)> name_of;
  // Whether anybody of that name is served at all. If not, its requests are answered 401, once. Called on I/O threads.
  std::function<bool(const std::string&)> serves;
};

class Listener {
 public:
  // `threads` and `handler` must outlive the listener.
  static Result<std::unique_ptr<Listener>> open(ListenerSettings settings, Handler& handler, IoThreads& threads);
  ~Listener();

  void start();

  // Address and port stay as they were. Requests under way are finished. A connection that would not be let in under
  // the new settings gets a 401 for its next request, and is closed after it, or after kEvictionMs without one.
  void replace(ListenerSettings settings);
  static constexpr std::uint32_t kEvictionMs = 500;

  std::uint16_t port() const;
  const ListenerStats& stats() const;

  // Once; later calls do nothing.
  void stop(std::chrono::milliseconds drain);

 private:
  struct Core;
  explicit Listener(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  std::shared_ptr<Core> core_;
  bool stopped_ = false;
};

}  // namespace qkms::server::http
