// Whose certificate is this: the one name in a leaf certificate that TLS has verified.
// A certificate from which two names could be read has none. Nothing here looks at the rest of a chain, at serial
// numbers, or at anything that the caller sent besides its certificate.
#pragma once

#include <map>
#include <string>

#include "base/error.h"
#include "base/id.h"
#include "certs/openssl.h"
#include "certs/rules.h"

namespace qkms::certs {

// The other side's own certificate, if the handshake is over and verification succeeded. kUnauthorised otherwise.
Result<X509Ptr> verified_leaf(const SSL* ssl);

// The name under a rule, fit for TextId (base/id.h). kUnauthorised when there is none, more than one, or one that is
// not fit.
Result<std::string> name_in(const X509* leaf, NameRule rule);

// SHA-256 of the whole certificate, 64 lower-case hexadecimal digits.
std::string fingerprint_of(const X509* leaf);

// The SAE: by fingerprint when the certificate is in `pinned`, else by the rule. An SAE that is in `pinned` has that
// certificate alone: another one with its name is refused.
Result<SaeId> identify_sae(const X509* leaf, NameRule rule, const std::map<std::string, SaeId>& pinned);

}  // namespace qkms::certs
