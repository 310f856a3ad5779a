// What a listener asks of the routes behind it. No Asio here: routes are tested without a network.
#pragma once

#include <functional>
#include <string>

#include "server/http/framing.h"
#include "server/http/message.h"

namespace qkms::server::http {

// Who is at the other end, by the verified leaf certificate of its connection.
struct Client {
  std::string name;  // by the listener's rule; empty: the certificate names nobody, and every request is to be denied
  std::string address;  // for logs only
};

// Makes the answer, on the connection's own thread: so it is the I/O threads that format.
using MakeResponse = std::move_only_function<Response()>;
// To be called exactly once, from any thread.
using Responder = std::move_only_function<void(MakeResponse)>;

// Concurrency: called from all I/O threads at once.
class Handler {
 public:
  virtual ~Handler() = default;
  // Does not block.
  virtual void handle(const Client& client, Request request, Responder respond) = 0;
  // The answer to something that is no request at all; the connection is closed after it.
  virtual Response refuse(const Refusal& refusal) = 0;
};

}  // namespace qkms::server::http
