// For tests: a blocking TLS client that sends bytes as they are, so that broken HTTP can be sent too.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "certs/openssl.h"

namespace qkms::server::testing {

struct Answer {
  int status = 0;
  std::string header, body;
};

class TlsClient {
 public:
  struct Files {
    std::filesystem::path certificate, key, ca;  // no certificate: shows none
  };

  // Connects to the port on this machine. connected() says whether the handshake went well.
  TlsClient(std::uint16_t port, const Files& files);
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  bool connected() const { return connected_; }
  // False when the other side has closed.
  bool send(std::string_view bytes);
  // The next whole answer; nothing when the connection ends or 20 s pass first.
  std::optional<Answer> receive(bool without_body = false);
  std::optional<Answer> ask(std::string_view bytes) { return send(bytes) ? receive() : std::nullopt; }
  // Waits for the other side's close; false when something else comes first, or nothing for 20 s.
  bool closed();
  // Plain TCP bytes, past TLS.
  bool send_raw(std::string_view bytes);
  SSL* ssl() { return ssl_.get(); }

 private:
  bool read_more();

  certs::SslContextPtr context_;
  certs::SslPtr ssl_;
  int socket_ = -1;
  bool connected_ = false;
  std::string received_;
};

std::string get(std::string_view target, std::string_view more_headers = "");
std::string post(std::string_view target, std::string_view body, std::string_view more_headers = "");

}  // namespace qkms::server::testing
