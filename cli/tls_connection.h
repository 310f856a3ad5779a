// A TLS connection to a server: blocking for its caller, with one deadline for everything done with it. The server's
// certificate is always verified: its chain by the context, its name here.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"
#include "certs/openssl.h"
#include "cli/https_client.h"

struct addrinfo;

namespace qkms::cli {

// Errors: kPeerUnreachable when nobody answers in time, kUnauthorised when TLS fails on either side.
class TlsConnection {
 public:
  TlsConnection(HttpsTarget target, int timeout_ms) : target_(std::move(target)) { allow(timeout_ms); }
  ~TlsConnection();
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;

  // Sets a new deadline, from now on.
  void allow(int timeout_ms) { deadline_ = Clock::now() + std::chrono::milliseconds(timeout_ms); }

  // Looking up a name may take longer than the deadline: the system decides.
  Result<void> connect();
  // Uses the context only until it returns.
  Result<void> handshake(SSL_CTX* context);
  // Takes all of it, or fails.
  Result<void> send(std::string_view bytes);
  // The number of bytes that came, at most what fits; 0 when the server has closed in an orderly way.
  Result<std::size_t> receive(std::span<std::uint8_t> out);

  // Bytes or an end have come that nobody has asked for. Does not wait.
  bool has_news() const;

  // "TLSv1.3"; after the handshake.
  std::string_view version() const { return SSL_get_version(ssl_.get()); }

 private:
  using Clock = std::chrono::steady_clock;

  bool expect(std::string host);
  Result<void> connect_to(const addrinfo& at);
  Result<void> wait_for(short events);
  Result<void> wait_after(int result);

  const HttpsTarget target_;
  Clock::time_point deadline_;
  int socket_ = -1;
  certs::SslPtr ssl_;
};

}  // namespace qkms::cli
