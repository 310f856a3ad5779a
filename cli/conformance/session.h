// An SAE that talks to a KME as an encryptor would: over one kept connection, made again when it has gone. Also the odd
// clients that a conformance run needs: without a certificate, with one of a foreign CA, with TLS older than 1.2.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/http_answer.h"
#include "certs/tls_context.h"
#include "cli/tls_connection.h"

namespace qkms::cli::conformance {

enum class Disguise {
  kNone,           // the SAE itself, TLS 1.2 or higher
  kNoCertificate,  // shows none
  kForeign,        // shows a certificate with `name` of a CA that was made a moment ago
  kOldTls,         // the SAE itself, TLS 1.0 or 1.1
  kTls13,          // the SAE itself, TLS 1.3 alone
};

struct Caller {
  HttpsTarget kme;
  certs::TlsFiles files;
  std::string name;  // its SAE ID
  int timeout_ms = 0;
};

// Unlike qkms's own listeners and peers, it takes a server's certificate without an extended key usage: that is not for
// ETSI GS QKD 014 to ask.
Result<certs::SslContextPtr> make_context(const Caller& caller, Disguise disguise);

class Session {
 public:
  static Result<std::unique_ptr<Session>> make(Caller caller, Disguise disguise = Disguise::kNone);

  // `bytes` is one whole request. kPeerUnreachable: no answer in time. kUnauthorised: TLS failed. kCorrupt: no answer
  // that could be read. All within the caller's timeout. Never sends a request twice that may have been read.
  Result<api::HttpAnswer> exchange(std::string_view bytes);
  void disconnect() { connection_.reset(); }

  const Caller& caller() const { return caller_; }
  // How many connections it has made, and what TLS the last one speaks ("" when there was none).
  int connections() const { return connections_; }
  const std::string& tls_version() const { return tls_version_; }

 private:
  Session(Caller caller, certs::SslContextPtr context) : caller_(std::move(caller)), context_(std::move(context)) {}
  Result<void> connect();
  Result<api::HttpAnswer> receive();

  const Caller caller_;
  certs::SslContextPtr context_;
  std::unique_ptr<TlsConnection> connection_;
  int connections_ = 0;
  std::string tls_version_;
};

}  // namespace qkms::cli::conformance
