// For tests: certificates of any shape, good or not, and a TLS handshake in memory.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "certs/dev_ca.h"

namespace qkms::certs {

struct NamePart {
  int nid = NID_commonName;
  std::string bytes;
  int type = V_ASN1_UTF8STRING;  // an ASN.1 string type; `bytes` are in its encoding
  int set = 0;                   // -1: in the same RDN as the part before
};

struct AlternativeName {
  int type;  // GEN_URI, GEN_DNS, GEN_EMAIL
  std::string bytes;
};

struct CertificateSpec {
  std::vector<NamePart> subject = {{NID_commonName, "SAE-A"}};
  std::vector<AlternativeName> alternative_names = {};
  std::vector<std::pair<int, std::string>> extensions = {{NID_basic_constraints, "critical,CA:FALSE"},
                                                         {NID_key_usage, "critical,digitalSignature"},
                                                         {NID_ext_key_usage, "clientAuth"}};
  int from_days = -1;
  int to_days = 1;
  long to_seconds = 0;  // more than to_days
  long serial = 7;
  const char* key = "P-256";  // or "RSA-1024", "RSA-2048", "P-521", "ED25519"
  const char* digest = "SHA256";
};

inline const std::vector<std::pair<int, std::string>> kCaExtensions = {{NID_basic_constraints, "critical,CA:TRUE"},
                                                                       {NID_key_usage, "critical,keyCertSign,cRLSign"}};
std::vector<std::pair<int, std::string>> ca_extensions_and(int nid, std::string value);
CertificateSpec ca_spec(const std::string& name);

// Self-signed when there is no issuer. Aborts the test program when OpenSSL cannot make it.
Credential make_certificate(const CertificateSpec& spec, const Credential* issuer = nullptr);

// A further certificate for the subject and key of `who`, as in a cross-signature.
Credential certify(const Credential& who, const CertificateSpec& spec, const Credential& issuer);

struct CrlSpec {
  std::vector<const Credential*> revoked = {};
  std::vector<std::pair<int, std::string>> extensions = {};
  int from_days = -1;
  std::optional<int> to_seconds = 24 * 3600;  // nothing: it does not say when the next one comes
  const char* digest = "SHA256";
  enum class RsaPadding { kPkcs1, kPss } padding = RsaPadding::kPkcs1;
  std::string entry_of_another_issuer = {};  // a DNS name that a critical extension of one more entry gives it
  int more_entries = 0;                      // serial numbers of nobody, to make it large
};
// A revocation list in PEM. Aborts the test program when OpenSSL cannot make it.
std::string make_crl(const CrlSpec& spec, const Credential& issuer);

// What a client shows: leaf first, then intermediates.
struct ClientIdentity {
  const Credential* leaf = nullptr;  // null: none
  std::vector<const Credential*> chain;
};

// A client as careless as they come: it verifies nothing and offers what it is told to.
SslContextPtr make_careless_client(const ClientIdentity& identity);

struct Handshake {
  bool done = false;               // on both sides
  long verify_result = X509_V_OK;  // the server's
  SslPtr server, client;
};
// `session` may be null: an earlier session that the client offers again.
Handshake shake_hands(SSL_CTX* server, SSL_CTX* client, SSL_SESSION* session = nullptr);

}  // namespace qkms::certs
