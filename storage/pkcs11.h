// A master key that only a token (an HSM, a smart card, SoftHSM) can make: pkcs11:URI of RFC 7512.
//
//     pkcs11:token=qkms;object=master?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/qkms/pin
//
// The master key is the token's HMAC-SHA-256 of a fixed text under a secret key that never leaves the token
// (docs/adr/0020-master-key-providers.md). So whoever may use the token has the key, and a token that is gone takes it
// along.
//
// Of the URI: token or serial, and object or id, say which key; module-path, absolute, says which library talks to the
// token; pin-source is file:PATH, absolute, or credential:NAME, and without it an operator types the PIN.
//
// Concurrency: a token knows one log-in for all of a process, so uses of tokens take turns.
#pragma once

#include <memory>
#include <string>

#include "storage/master_key.h"

namespace qkms::storage {

// kInvalid: no such URI, or one with a part that is missing, is not understood, or holds the PIN itself.
Result<std::unique_ptr<MasterKeyProvider>> make_pkcs11_provider(const std::string& uri);

}  // namespace qkms::storage
