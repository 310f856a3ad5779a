// A TLS connection to a device: blocking for its driver, with a deadline for each step, and given up at once when the
// driver is to stop. The device's certificate is always verified: its chain by certs/, its name here. There is no
// setting against it.
//
// Operation: the files are read at each connect(), so that a renewed certificate counts from the next connection on.
// Concurrency: one thread, the Waiter's. Limits: kept by the caller, who says how much it takes and how long it waits.
// What would surprise: looking up a host name takes as long as the system likes, and a stop does not end it. And the
// process must ignore SIGPIPE: OpenSSL writes without MSG_NOSIGNAL.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/error.h"
#include "base/file_descriptor.h"
#include "certs/openssl.h"
#include "drivers/tls_settings.h"
#include "drivers/waiter.h"

namespace qkms::drivers {

// What is told to the device by ALPN: "http/1.1", or nothing.
enum class TlsProtocol { kHttp, kUnnamed };

// Errors of all functions: kClosed: the driver is to stop. kPeerUnreachable: nobody answers in time, or the connection
// broke. kUnauthorised: TLS fails, at either side. kInvalid, kNotFound, kIo: our own settings or files.
class TlsClient {
 public:
  // `waiter` must outlive the client.
  static Result<std::unique_ptr<TlsClient>> connect(const TlsSettings& settings, TlsProtocol protocol, Waiter& waiter);
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  // All of it, or an error; then the device may have got it nevertheless.
  Result<void> send(std::span<const std::uint8_t> bytes, Millis limit_ms);
  // Waits for at least one byte. The number of bytes that came; 0 when the device has closed in an orderly way. An end
  // without a close_notify is an error: it may be somebody else's.
  Result<std::size_t> receive(std::span<std::uint8_t> out, Millis limit_ms);
  // The connection is open as far as one can tell, and nothing has come that nobody asked for. Does not wait.
  bool is_idle();

 private:
  TlsClient(FileDescriptor socket, certs::SslPtr ssl, std::string where, Waiter& waiter)
      : waiter_(waiter), where_(std::move(where)), socket_(std::move(socket)), ssl_(std::move(ssl)) {}
  Result<void> handshake(Millis limit_ms);
  Result<void> wait_after(int result, Millis until);

  Waiter& waiter_;
  const std::string where_;  // for messages
  const FileDescriptor socket_;
  const certs::SslPtr ssl_;
};

}  // namespace qkms::drivers
