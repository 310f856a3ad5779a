// Revocation lists (CRLs, RFC 5280 §5) of one context: read and verified once, then only looked up.
// OpenSSL's own check verifies a list's signature again in each handshake, and before that of the certificate: with a
// list of 16 MiB that is 30 ms and more of work for whoever sends any certificate at all. Here a handshake costs a
// binary search.
//
// Fails closed: once a context has lists, every CA of a chain must have a current one that covers the certificate.
// Nothing is ever fetched: where a certificate says that its list or its OCSP responder is, is not looked at.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "base/error.h"
#include "certs/openssl.h"

namespace qkms::certs {

class RevocationLists {
 public:
  // Each list must be a full one (no delta, not indirect, all reasons), be current, and be signed by one of `cas`: so
  // an intermediate CA with a list of its own belongs among them. Each of `cas` must have a list.
  static Result<std::unique_ptr<const RevocationLists>> load(const std::filesystem::path& file,
                                                             const std::vector<X509Ptr>& cas,
                                                             const std::filesystem::path& ca_file);

  // X509_V_OK, or why the certificate does not count: X509_V_ERR_CERT_REVOKED, _UNABLE_TO_GET_CRL, _CRL_HAS_EXPIRED ...
  int verdict_on(X509* certificate, const X509* issuer) const;

  // The earliest end of validity of a list, in seconds since 1970.
  std::int64_t next_update_unix_s() const;

 private:
  struct List {
    CrlPtr crl;
    KeyPtr signer;   // the CA's public key that verified it
    ScopePtr scope;  // null: all that the CA issued
  };
  static Result<List> checked(CrlPtr crl, const std::vector<X509Ptr>& cas);
  static bool is_by(const List& list, const X509* issuer);

  std::vector<List> lists_;
};

// From now on verification with this store asks `lists`, for each certificate of a chain but the trust anchor.
Result<void> use_lists(X509_STORE* store, std::unique_ptr<const RevocationLists> lists);
// Those that the store uses; null: none.
const RevocationLists* lists_of(const X509_STORE* store);

}  // namespace qkms::certs
