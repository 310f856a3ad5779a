// What a configuration says about listeners and peers, made ready to be used: certificates read, contexts built. All
// that can fail happens here, at the start as at a reload, and before anything that runs is touched.
#pragma once

#include <string>
#include <vector>

#include "certs/tls_context.h"
#include "server/config.h"
#include "server/http/listener.h"
#include "server/peer/transport.h"

namespace qkms::server {

struct Parts {
  http::ListenerSettings sae, operators;
  peer::TransportSettings peers;  // without `push`
};

Result<Parts> make_parts(const Config& config);

// When the certificates, CAs and lists of the three listeners end.
struct ListenerExpiries {
  std::string listener;
  certs::Expiries expiries;
};
std::vector<ListenerExpiries> expiries_of(const Parts& parts);

// What cannot change while the daemon runs: puts `running`'s values back into `next` and gives the names of the options
// that are different, and wait for the next start.
std::vector<std::string> keep_what_needs_a_start(const Config& running, Config& next);

}  // namespace qkms::server
