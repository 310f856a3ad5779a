// OpenSSL's objects as owners, and its error queue as text.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdint>
#include <memory>
#include <string>

namespace qkms::certs {

template <auto kFree>
struct Freer {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};

using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using CrlPtr = std::unique_ptr<X509_CRL, Freer<X509_CRL_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>>;
using ScopePtr = std::unique_ptr<ISSUING_DIST_POINT, Freer<ISSUING_DIST_POINT_free>>;
using SslPtr = std::unique_ptr<SSL, Freer<SSL_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;

// What OpenSSL has to say on this thread, oldest first; empties the queue. Never empty.
std::string openssl_errors();

// For messages, in printable ASCII of bounded length.
std::string name_text(const X509_NAME* name);
std::string time_text(const ASN1_TIME* time);

// As X509_cmp_time, with judged_time() of wall_clock.h: below 0 when `time` is that time or before it, above 0 when it
// is later, 0 when it cannot be read.
int compare_with_judged_time(const ASN1_TIME* time);

// Seconds since 1970; 0 when the time cannot be read.
std::int64_t unix_s(const ASN1_TIME* time);

}  // namespace qkms::certs
