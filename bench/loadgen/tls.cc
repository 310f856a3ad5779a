// The surprise: read-ahead is on, so that one system call fetches a whole TLS record instead of its five-byte head
// first.
#include "bench/loadgen/tls.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace qkms::bench {
namespace {

std::unexpected<Error> tls_error(std::string_view what) {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  ERR_clear_error();
  return fail(ErrorCode::kInvalid, fmt::format("{}: {}", what, text));
}

Result<void> load_identity(SSL_CTX* context, const Options& o) {
  if (o.certificate_file.empty()) return {};
  if (SSL_CTX_use_certificate_chain_file(context, o.certificate_file.c_str()) != 1)
    return tls_error(o.certificate_file);
  if (SSL_CTX_use_PrivateKey_file(context, o.key_file.c_str(), SSL_FILETYPE_PEM) != 1) return tls_error(o.key_file);
  if (SSL_CTX_check_private_key(context) != 1) return tls_error("key and certificate do not fit");
  return {};
}

// OpenSSL reads a CA's extensions at its first use and keeps them, guarded by atomics of its own that a thread checker
// cannot see. Reading them here, before there are threads, leaves it nothing to misunderstand.
void read_extensions(SSL_CTX* context) {
  STACK_OF(X509_OBJECT)* trusted = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
  for (int i = 0; i < sk_X509_OBJECT_num(trusted); ++i) {
    X509* ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
    if (ca != nullptr) X509_check_ca(ca);
  }
}

}  // namespace

Result<Endpoint> Endpoint::resolve(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return fail(ErrorCode::kInvalid, fmt::format("{}:{}: {}", host, port, gai_strerror(error)));
  }
  Endpoint endpoint;
  std::memcpy(&endpoint.address, found->ai_addr, found->ai_addrlen);
  endpoint.size = found->ai_addrlen;
  freeaddrinfo(found);
  return endpoint;
}

Result<TlsClient> TlsClient::create(const Options& o) {
  std::unique_ptr<SSL_CTX, SslDeleter> context(SSL_CTX_new(TLS_client_method()));
  if (!context) return tls_error("TLS");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_read_ahead(context.get(), 1);
  std::string groups = o.groups;  // the macro casts const away, which clang refuses
  if (SSL_CTX_set1_groups_list(context.get(), groups.data()) != 1) return tls_error(o.groups);
  if (auto loaded = load_identity(context.get(), o); !loaded) return std::unexpected(loaded.error());
  if (!o.ca_file.empty()) {
    if (SSL_CTX_load_verify_locations(context.get(), o.ca_file.c_str(), nullptr) != 1) return tls_error(o.ca_file);
    read_extensions(context.get());
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  }
  return TlsClient(std::move(context));
}

Io TlsConnection::open(const Endpoint& endpoint, const TlsClient& client) {
  close();
  fd_ = socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return Io::kFailed;
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ssl_.reset(SSL_new(client.context()));
  if (!ssl_ || SSL_set_fd(ssl_.get(), fd_) != 1) return Io::kFailed;
  SSL_set_connect_state(ssl_.get());
  const auto* address = reinterpret_cast<const sockaddr*>(&endpoint.address);
  if (connect(fd_, address, endpoint.size) != 0 && errno != EINPROGRESS) return Io::kFailed;
  return Io::kWait;
}

Io TlsConnection::establish() {
  if (!tcp_connected_) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return Io::kFailed;
    tcp_connected_ = true;
  }
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  established_ = result == 1;
  return established_ ? Io::kDone : outcome_of(result);
}

Io TlsConnection::write(std::string_view data) {
  ERR_clear_error();
  // Without SSL_MODE_ENABLE_PARTIAL_WRITE a success means that everything was written.
  const int result = SSL_write(ssl_.get(), data.data(), static_cast<int>(data.size()));
  return result > 0 ? Io::kDone : outcome_of(result);
}

TlsConnection::Read TlsConnection::read(std::span<char> buffer) {
  ERR_clear_error();
  const int result = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
  if (result > 0) return {Io::kDone, {buffer.data(), static_cast<std::size_t>(result)}};
  return {outcome_of(result), {}};
}

Io TlsConnection::outcome_of(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return Io::kWait;
    case SSL_ERROR_ZERO_RETURN:
      return Io::kEnded;
    default:
      established_ = false;  // OpenSSL forbids SSL_shutdown after a fatal error
      return Io::kFailed;
  }
}

void TlsConnection::close() {
  if (established_) SSL_shutdown(ssl_.get());
  ssl_.reset();
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  tcp_connected_ = established_ = false;
}

std::string TlsConnection::description() const {
  return fmt::format("{} {}", SSL_get_version(ssl_.get()), SSL_get_cipher_name(ssl_.get()));
}

}  // namespace qkms::bench
