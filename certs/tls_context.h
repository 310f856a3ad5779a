// TLS settings: the one place where it is decided what is spoken and whose certificates count.
// The other side's certificate is always required and verified. There is no setting, argument or environment variable
// against it.
//
// What else holds for every context: no session is ever resumed (no tickets, no cache), no renegotiation, no
// compression, at most kMaxChainDepth intermediate CAs, OpenSSL's security level 2 in each certificate of a chain (RSA
// from 2048 bits, ECDSA from P-256, Ed25519; no SHA-1), ALPN "http/1.1" (or "http/1.0" for whom has no better) and
// nothing else. Certificate policies are not looked at, so that no tree of them grows (RFC 9618). The leaf must not be
// a CA and must carry the extended key usage for its side, clientAuth or serverAuth.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "certs/openssl.h"
#include "certs/rules.h"

namespace qkms::certs {

inline constexpr int kMaxChainDepth = 4;
inline constexpr long kMaxChainBytes = 32 * 1024;  // of certificates in one handshake

struct TlsFiles {
  std::filesystem::path certificate;  // PEM, leaf first
  std::filesystem::path key;
  std::filesystem::path ca;        // PEM, whom to trust on the other side
  std::filesystem::path crl = {};  // PEM, the CAs' revocation lists (revocation.h); empty: revocation is not looked at
};

// For a listener.
Result<SslContextPtr> make_server_context(const TlsFiles& files, TlsMinimum minimum);

// For one who connects. It verifies the chain; that the certificate is the right one's is for the caller to check: by
// identity.h for a peer, or by SSL_set1_host.
Result<SslContextPtr> make_client_context(const TlsFiles& files, TlsMinimum minimum);

// When what a context works with ends, in seconds since 1970: of several certificates or lists the earliest.
struct Expiries {
  std::int64_t certificate_unix_s = INT64_MAX;  // its own, with the chain that it sends
  std::int64_t ca_unix_s = INT64_MAX;
  std::optional<std::int64_t> crl_unix_s;  // nothing: it has no revocation lists
};
// Of what is in force, not of what lies in the files by now. Cheap; on any thread.
Expiries expiries_of(SSL_CTX* context);

}  // namespace qkms::certs
