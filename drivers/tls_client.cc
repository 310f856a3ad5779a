#include "drivers/tls_client.h"

#include <fmt/format.h>
#include <netdb.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <string>
#include <system_error>

#include "certs/tls_context.h"

namespace qkms::drivers {
namespace {

using AddressesPtr = std::unique_ptr<addrinfo, certs::Freer<freeaddrinfo>>;

Millis now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

std::unexpected<Error> unreachable(const std::string& where, std::string_view why) {
  return fail(ErrorCode::kPeerUnreachable, fmt::format("{}: {}", where, why));
}

std::unexpected<Error> unreachable(const std::string& where, int error) {
  return unreachable(where, std::generic_category().message(error));
}

Result<void> wait_until(Waiter& waiter, int socket, short events, Millis until, const std::string& where) {
  switch (waiter.wait(socket, events, std::max<Millis>(0, until - now_ms()))) {
    case Waiter::Woken::kReady:
      return {};
    case Waiter::Woken::kStop:
      return fail(ErrorCode::kClosed, "the driver is to stop");
    case Waiter::Woken::kTime:
      break;
  }
  return unreachable(where, "no answer in time");
}

Result<AddressesPtr> look_up(const TlsSettings& settings, const std::string& where) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(settings.host.c_str(), std::to_string(settings.port).c_str(), &hints, &found);
  if (error != 0) return unreachable(where, ::gai_strerror(error));
  return AddressesPtr(found);
}

Result<FileDescriptor> connect_to(const addrinfo& address, Waiter& waiter, Millis until, const std::string& where) {
  FileDescriptor socket(
      ::socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address.ai_protocol));
  if (!socket.is_open()) return unreachable(where, errno);
  if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) == 0) return socket;
  if (errno != EINPROGRESS) return unreachable(where, errno);
  if (auto waited = wait_until(waiter, socket.get(), POLLOUT, until, where); !waited)
    return std::unexpected(waited.error());
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return unreachable(where, error);
  return socket;
}

Result<FileDescriptor> connect_to_any(const TlsSettings& settings, Waiter& waiter, const std::string& where) {
  const auto addresses = look_up(settings, where);
  if (!addresses) return std::unexpected(addresses.error());
  const Millis until = now_ms() + settings.connect_ms;
  Error last{ErrorCode::kPeerUnreachable, fmt::format("{}: no address", where)};
  for (const addrinfo* at = addresses->get(); at != nullptr; at = at->ai_next) {
    auto connected = connect_to(*at, waiter, until, where);
    if (connected || connected.error().code == ErrorCode::kClosed) return connected;
    last = std::move(connected.error());
  }
  return std::unexpected(std::move(last));
}

// Whom the device's certificate must be good for.
bool expect(SSL* ssl, std::string name) {
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1) return true;
  ERR_clear_error();  // not an IP address, so a name
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set1_host(ssl, name.c_str()) == 1 &&
         SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data()) == 1;
}

Result<certs::SslPtr> make_ssl(const TlsSettings& settings, TlsProtocol protocol, int socket) {
  const auto context =
      certs::make_client_context({settings.certificate, settings.key, settings.ca, settings.crl}, settings.minimum);
  if (!context) return std::unexpected(context.error());
  certs::SslPtr ssl(SSL_new(context->get()));  // keeps the context
  if (ssl == nullptr || SSL_set_fd(ssl.get(), socket) != 1)
    return fail(ErrorCode::kInternal, "TLS: " + certs::openssl_errors());
  const std::string& name = settings.server_name.empty() ? settings.host : settings.server_name;
  if (name.empty() || !expect(ssl.get(), name))
    return fail(ErrorCode::kInvalid, fmt::format("\"{}\" is no host name", name));
  if (protocol == TlsProtocol::kUnnamed) SSL_set_alpn_protos(ssl.get(), nullptr, 0);  // takes the context's away
  return ssl;
}

}  // namespace

Result<std::unique_ptr<TlsClient>> TlsClient::connect(const TlsSettings& settings, TlsProtocol protocol,
                                                      Waiter& waiter) {
  std::string where = fmt::format("{} port {}", settings.host, settings.port);
  auto socket = connect_to_any(settings, waiter, where);
  if (!socket) return std::unexpected(socket.error());
  auto ssl = make_ssl(settings, protocol, socket->get());
  if (!ssl) return std::unexpected(ssl.error());
  std::unique_ptr<TlsClient> client(new TlsClient(std::move(*socket), std::move(*ssl), std::move(where), waiter));
  if (auto shaken = client->handshake(settings.handshake_ms); !shaken) return std::unexpected(shaken.error());
  return client;
}

TlsClient::~TlsClient() {
  ERR_clear_error();
  if (SSL_is_init_finished(ssl_.get()) == 1) SSL_shutdown(ssl_.get());  // our close_notify, if there is room for it
  ERR_clear_error();
}

Result<void> TlsClient::handshake(Millis limit_ms) {
  const Millis until = now_ms() + limit_ms;
  for (;;) {
    ERR_clear_error();
    const int result = SSL_connect(ssl_.get());
    if (result == 1) return {};
    if (auto waited = wait_after(result, until); !waited) return waited;
  }
}

Result<void> TlsClient::send(std::span<const std::uint8_t> bytes, Millis limit_ms) {
  const Millis until = now_ms() + limit_ms;
  while (!bytes.empty()) {
    ERR_clear_error();
    // Without partial writes it takes all or none, so a repeated call gives the same bytes again.
    const int size = static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX));
    const int result = SSL_write(ssl_.get(), bytes.data(), size);
    if (result > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(result));
    } else if (auto waited = wait_after(result, until); !waited) {
      return waited;
    }
  }
  return {};
}

Result<std::size_t> TlsClient::receive(std::span<std::uint8_t> out, Millis limit_ms) {
  const Millis until = now_ms() + limit_ms;
  const int room = static_cast<int>(std::min<std::size_t>(out.size(), INT_MAX));
  for (;;) {
    ERR_clear_error();
    const int result = SSL_read(ssl_.get(), out.data(), room);
    if (result > 0) return static_cast<std::size_t>(result);
    if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN) return 0;
    if (auto waited = wait_after(result, until); !waited) return std::unexpected(waited.error());
  }
}

bool TlsClient::is_idle() {
  ERR_clear_error();
  std::uint8_t next = 0;  // a session ticket may have come: the peek eats it, and finds no byte for us
  const int result = SSL_peek(ssl_.get(), &next, 1);
  const bool idle = result <= 0 && SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ;
  ERR_clear_error();
  return idle;
}

// Waits for what the last TLS call lacked, or says why there is nothing to wait for.
Result<void> TlsClient::wait_after(int result, Millis until) {
  const int system_error = errno;
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ) return wait_until(waiter_, socket_.get(), POLLIN, until, where_);
  if (error == SSL_ERROR_WANT_WRITE) return wait_until(waiter_, socket_.get(), POLLOUT, until, where_);
  const long verdict = SSL_get_verify_result(ssl_.get());
  if (verdict != X509_V_OK) {
    ERR_clear_error();
    return fail(ErrorCode::kUnauthorised,
                fmt::format("{}: its certificate is refused: {}", where_, X509_verify_cert_error_string(verdict)));
  }
  if (error == SSL_ERROR_ZERO_RETURN) return unreachable(where_, "it closed the connection");
  if (error == SSL_ERROR_SYSCALL) {
    ERR_clear_error();
    return unreachable(where_, system_error != 0 ? system_error : ECONNRESET);
  }
  if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    ERR_clear_error();
    return unreachable(where_, "the connection broke");
  }
  return fail(ErrorCode::kUnauthorised, fmt::format("{}: TLS failed: {}", where_, certs::openssl_errors()));
}

}  // namespace qkms::drivers
