// Whether the other side of an open connection would still be let in: for a reload of CAs, revocation lists, or time.
#pragma once

#include "base/error.h"
#include "certs/openssl.h"

namespace qkms::certs {

// Verifies the chain that the other side showed in its handshake against `now`, a context of make_server_context for
// connections that were accepted and of make_client_context for those that were made. The same rules as in a handshake
// hold, for it is the same code; no network is used and nothing of the connection is changed. Costs about as much as
// one signature per certificate of the chain (0.1 ms). On the connection's thread. kUnauthorised with the reason.
Result<void> verify_again(SSL_CTX* now, const SSL* connection);

}  // namespace qkms::certs
