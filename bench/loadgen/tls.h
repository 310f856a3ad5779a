// A client's TLS over non-blocking TCP: just enough of OpenSSL for a load generator.
#pragma once

#include <openssl/ssl.h>
#include <sys/socket.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "bench/loadgen/options.h"

namespace qkms::bench {

struct Endpoint {
  sockaddr_storage address{};
  socklen_t size = 0;
  static Result<Endpoint> resolve(const std::string& host, const std::string& port);
};

struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

// Certificates and rules that all connections share. TLS 1.3 only, no resumption: each handshake is a full one.
class TlsClient {
 public:
  static Result<TlsClient> create(const Options& options);
  SSL_CTX* context() const { return context_.get(); }

 private:
  explicit TlsClient(std::unique_ptr<SSL_CTX, SslDeleter> context) : context_(std::move(context)) {}
  std::unique_ptr<SSL_CTX, SslDeleter> context_;
};

enum class Io { kDone, kWait, kEnded, kFailed };

// Thread rule: one thread. Nothing blocks; kWait means: try again at the socket's next event (edge-triggered, both
// directions).
class TlsConnection {
 public:
  TlsConnection() = default;
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;
  ~TlsConnection() { close(); }

  // Begins to connect; finish with establish().
  Io open(const Endpoint& endpoint, const TlsClient& client);
  Io establish();
  bool tcp_connected() const { return tcp_connected_; }  // if establish() failed: was it the handshake?

  // On kDone all of `data` has gone; after kWait call again with the same data.
  Io write(std::string_view data);
  struct Read {
    Io io;
    std::string_view data;  // in `buffer`
  };
  Read read(std::span<char> buffer);

  // Says goodbye to the peer and closes, without waiting.
  void close();

  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  std::string description() const;  // "TLSv1.3 TLS_AES_256_GCM_SHA384"

 private:
  Io outcome_of(int result);

  int fd_ = -1;
  bool tcp_connected_ = false;
  bool established_ = false;
  std::unique_ptr<SSL, SslDeleter> ssl_;
};

}  // namespace qkms::bench
