#include "server/testing/tls_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace qkms::server::testing {
namespace {

constexpr timeval kPatience{60, 0};

int connect_to(std::uint16_t port) {
  const int number = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int on = 1;
  ::setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  ::setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  ::setsockopt(number, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(number, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return number;
  ::close(number);
  return -1;
}

}  // namespace

TlsClient::TlsClient(std::uint16_t port, const Files& files) : context_(SSL_CTX_new(TLS_client_method())) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  SSL_CTX_load_verify_locations(context_.get(), files.ca.c_str(), nullptr);
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
  if (!files.certificate.empty()) {
    SSL_CTX_use_certificate_chain_file(context_.get(), files.certificate.c_str());
    SSL_CTX_use_PrivateKey_file(context_.get(), files.key.c_str(), SSL_FILETYPE_PEM);
  }
  socket_ = connect_to(port);
  if (socket_ < 0) return;
  ssl_.reset(SSL_new(context_.get()));
  SSL_set_fd(ssl_.get(), socket_);
  connected_ = SSL_connect(ssl_.get()) == 1;
  ERR_clear_error();
}

TlsClient::~TlsClient() {
  if (socket_ >= 0) ::close(socket_);
}

bool TlsClient::send(std::string_view bytes) {
  ERR_clear_error();
  return connected_ && SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
}

bool TlsClient::send_raw(std::string_view bytes) {
  return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

bool TlsClient::read_more() {
  char part[4096];
  ERR_clear_error();
  const int size = connected_ ? SSL_read(ssl_.get(), part, sizeof part) : 0;
  if (size > 0) received_.append(part, static_cast<std::size_t>(size));
  return size > 0;
}

std::optional<Answer> TlsClient::receive(bool without_body) {
  std::size_t end = 0;
  while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
    if (!read_more()) return std::nullopt;
  }
  Answer answer;
  answer.header = received_.substr(0, end + 2);
  received_.erase(0, end + 4);
  answer.status = std::atoi(answer.header.c_str() + std::string_view("HTTP/1.1 ").size());
  const std::size_t length_at = answer.header.find("Content-Length: ");
  if (length_at == std::string::npos || without_body) return answer;
  const std::size_t length = std::strtoul(answer.header.c_str() + length_at + 16, nullptr, 10);
  while (received_.size() < length) {
    if (!read_more()) return std::nullopt;
  }
  answer.body = received_.substr(0, length);
  received_.erase(0, length);
  return answer;
}

bool TlsClient::closed() {
  if (!connected_) return true;
  if (!received_.empty() || read_more()) return false;
  return errno != EAGAIN && errno != EWOULDBLOCK;
}

std::string get(std::string_view target, std::string_view more_headers) {
  std::string text = "GET ";
  text.append(target).append(" HTTP/1.1\r\nHost: localhost\r\n").append(more_headers).append("\r\n");
  return text;
}

std::string post(std::string_view target, std::string_view body, std::string_view more_headers) {
  std::string text = "POST ";
  text.append(target).append(" HTTP/1.1\r\nHost: localhost\r\n").append(more_headers);
  text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n").append(body);
  return text;
}

}  // namespace qkms::server::testing
