#include "cli/tls_connection.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

namespace qkms::cli {

namespace {

struct AddressesFree {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, AddressesFree>;

std::unexpected<Error> unreachable(const HttpsTarget& target, std::string_view why) {
  return fail(ErrorCode::kPeerUnreachable, fmt::format("{} port {}: {}", target.host, target.port, why));
}

Result<Addresses> look_up(const HttpsTarget& target) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(target.host.c_str(), std::to_string(target.port).c_str(), &hints, &found);
  if (error != 0) return unreachable(target, gai_strerror(error));
  return Addresses(found);
}

}  // namespace

TlsConnection::~TlsConnection() {
  ssl_.reset();
  if (socket_ >= 0) close(socket_);
}

Result<void> TlsConnection::connect() {
  const auto addresses = look_up(target_);
  if (!addresses) return std::unexpected(addresses.error());
  Result<void> last = unreachable(target_, "no address");
  for (const addrinfo* at = addresses->get(); at != nullptr; at = at->ai_next) {
    last = connect_to(*at);
    if (last) return last;
  }
  return last;
}

Result<void> TlsConnection::handshake(SSL_CTX* context) {
  ssl_.reset(SSL_new(context));
  if (ssl_ == nullptr || SSL_set_fd(ssl_.get(), socket_) != 1)
    return fail(ErrorCode::kInternal, certs::openssl_errors());
  if (!expect(target_.host)) return fail(ErrorCode::kInvalid, fmt::format("\"{}\" is no host name", target_.host));
  while (true) {
    const int result = SSL_connect(ssl_.get());
    if (result == 1) return {};
    if (auto waited = wait_after(result); !waited) return waited;
  }
}

Result<void> TlsConnection::send(std::string_view bytes) {
  while (true) {
    const int result = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
    if (result > 0) return {};  // without partial writes, it takes all or none
    if (auto waited = wait_after(result); !waited) return waited;
  }
}

Result<std::size_t> TlsConnection::receive(std::span<std::uint8_t> out) {
  while (true) {
    if (Clock::now() >= deadline_) return unreachable(target_, "no answer in time");  // also for who sends without end
    const int result = SSL_read(ssl_.get(), out.data(), static_cast<int>(out.size()));
    if (result > 0) return static_cast<std::size_t>(result);
    if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN) return 0;
    if (auto waited = wait_after(result); !waited) return std::unexpected(waited.error());
  }
}

bool TlsConnection::has_news() const {
  pollfd entry{socket_, POLLIN, 0};
  return SSL_pending(ssl_.get()) > 0 || poll(&entry, 1, 0) != 0;
}

// Whom the server's certificate must be good for.
bool TlsConnection::expect(std::string host) {
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), host.c_str()) == 1) return true;
  certs::openssl_errors();  // not an IP address, so a name
  return SSL_set1_host(ssl_.get(), host.c_str()) == 1 &&
         SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host.data()) == 1;
}

Result<void> TlsConnection::connect_to(const addrinfo& at) {
  if (socket_ >= 0) close(socket_);
  socket_ = socket(at.ai_family, at.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at.ai_protocol);
  if (socket_ < 0) return unreachable(target_, std::strerror(errno));
  if (::connect(socket_, at.ai_addr, at.ai_addrlen) == 0) return {};
  if (errno != EINPROGRESS) return unreachable(target_, std::strerror(errno));
  if (auto waited = wait_for(POLLOUT); !waited) return waited;
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return unreachable(target_, std::strerror(error));
  return {};
}

Result<void> TlsConnection::wait_for(short events) {
  pollfd entry{socket_, events, 0};
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    if (left <= 0) return unreachable(target_, "no answer in time");
    const int ready = poll(&entry, 1, static_cast<int>(left));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return unreachable(target_, std::strerror(errno));
  }
}

// Waits for what the last TLS call lacked, or says why there is nothing to wait for.
Result<void> TlsConnection::wait_after(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ) return wait_for(POLLIN);
  if (error == SSL_ERROR_WANT_WRITE) return wait_for(POLLOUT);
  const long verdict = SSL_get_verify_result(ssl_.get());
  if (verdict != X509_V_OK) {
    certs::openssl_errors();
    return fail(ErrorCode::kUnauthorised, fmt::format("{} port {}: its certificate is refused: {}", target_.host,
                                                      target_.port, X509_verify_cert_error_string(verdict)));
  }
  return fail(ErrorCode::kUnauthorised,
              fmt::format("{} port {}: TLS failed: {}", target_.host, target_.port, certs::openssl_errors()));
}

}  // namespace qkms::cli
