#include "drivers/testing/tls_device.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <iostream>

namespace qkms::drivers {
namespace {

void require(bool done, const char* what) {
  if (done) return;
  std::cerr << "test device: " << what << ": " << certs::openssl_errors() << '\n';
  std::abort();
}

certs::SslContextPtr make_context(const DevicePki& pki, const std::string& certificate, int newest_version) {
  certs::SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  require(
      SSL_CTX_use_certificate_chain_file(context.get(), pki.file(certificate + ".crt").c_str()) == 1 &&
          SSL_CTX_use_PrivateKey_file(context.get(), pki.file(certificate + ".key").c_str(), SSL_FILETYPE_PEM) == 1 &&
          SSL_CTX_load_verify_locations(context.get(), pki.file("ca.crt").c_str(), nullptr) == 1 &&
          SSL_CTX_set_max_proto_version(context.get(), newest_version) == 1,
      "its certificate");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return context;
}

}  // namespace

DevicePki::DevicePki() {
  std::signal(SIGPIPE, SIG_IGN);  // as the daemon does
  std::string name = (std::filesystem::temp_directory_path() / "qkms-device-XXXXXX").string();
  require(::mkdtemp(name.data()) != nullptr, "a folder");
  folder_ = name;
  auto ca = certs::make_dev_ca("device");
  require(ca.has_value(), "a CA");
  ca_ = std::move(*ca);
  require(certs::write_credential(ca_, folder_, "ca").has_value(), "a CA's file");
  issue("device", {"IP:127.0.0.1", "DNS:device.test"});
  const auto kme = certs::issue_dev_certificate(ca_, "KME-A", certs::CertificateUse::kClient, {});
  require(kme && certs::write_credential(*kme, folder_, "kme"), "our certificate");
}

DevicePki::~DevicePki() { std::filesystem::remove_all(folder_); }

void DevicePki::issue(const std::string& name, const std::vector<std::string>& alternative_names) const {
  const auto made = certs::issue_dev_certificate(ca_, name, certs::CertificateUse::kServer, alternative_names);
  require(made && certs::write_credential(*made, folder_, name), "a device's certificate");
}

TlsSettings DevicePki::settings(std::uint16_t port) const {
  TlsSettings settings;
  settings.host = "127.0.0.1";
  settings.port = port;
  settings.certificate = file("kme.crt");
  settings.key = file("kme.key");
  settings.ca = file("ca.crt");
  return settings;
}

std::optional<std::string> TlsDevice::Connection::read_some() {
  std::array<char, 4096> part;
  const int size = dead_ ? 0 : SSL_read(ssl_, part.data(), part.size());
  ERR_clear_error();
  if (size <= 0) return std::nullopt;
  return std::string(part.data(), static_cast<std::size_t>(size));
}

bool TlsDevice::Connection::write(std::string_view bytes) {
  const bool wrote = !dead_ && SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) > 0;
  ERR_clear_error();
  return wrote;
}

void TlsDevice::Connection::die() {
  dead_ = true;
  ::shutdown(SSL_get_fd(ssl_), SHUT_RDWR);
}

void TlsDevice::Connection::hang() {
  while (read_some()) {
  }
}

TlsDevice::TlsDevice(const DevicePki& pki, Script script, const std::string& certificate, int newest_version)
    : script_(std::move(script)),
      context_(make_context(pki, certificate, newest_version)),
      listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  require(::bind(listener_.get(), generic, size) == 0 && ::listen(listener_.get(), 16) == 0 &&
              ::getsockname(listener_.get(), generic, &size) == 0,
          "a port");
  port_ = ntohs(address.sin_port);
  accepting_ = std::jthread([this](const std::stop_token& stopping) { accept_all(stopping); });
}

TlsDevice::~TlsDevice() {
  accepting_.request_stop();
  ::shutdown(listener_.get(), SHUT_RDWR);  // wakes accept
  accepting_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const FileDescriptor& socket : sockets_) ::shutdown(socket.get(), SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
}

std::size_t TlsDevice::connections() const {
  const std::lock_guard lock(mutex_);
  return sockets_.size();
}

void TlsDevice::accept_all(const std::stop_token& stopping) {
  while (!stopping.stop_requested()) {
    const int socket = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) continue;
    const std::lock_guard lock(mutex_);
    sockets_.emplace_back(socket);
    threads_.emplace_back([this, socket] { serve(socket); });
  }
}

void TlsDevice::serve(int socket) {
  const certs::SslPtr ssl(SSL_new(context_.get()));
  SSL_set_fd(ssl.get(), socket);
  if (SSL_accept(ssl.get()) == 1) {
    Connection connection(ssl.get());
    script_(connection);
    if (!connection.has_died()) SSL_shutdown(ssl.get());
  }
  ERR_clear_error();
  ::shutdown(socket, SHUT_RDWR);
}

}  // namespace qkms::drivers
