// A connection to a device that speaks ETSI GS QKD 004 over TLS: one call at a time, each with a deadline for its whole
// answer.
//
// Concurrency: one thread, the Waiter's. Errors: as TlsClient's; kInvalid: the device's answer makes no sense. After
// any error the connection is of no more use: an answer that comes too late would be taken for the next one's.
#pragma once

#include <memory>

#include "drivers/etsi004/messages.h"
#include "drivers/tls_client.h"

namespace qkms::drivers::etsi004 {

class Session {
 public:
  // `waiter` must outlive the session.
  static Result<std::unique_ptr<Session>> connect(const TlsSettings& tls, Dialect dialect, Version version,
                                                  Waiter& waiter);

  Result<OpenResponse> open(const OpenRequest& request, Millis limit_ms);
  Result<GetResponse> get(const GetRequest& request, Millis limit_ms);
  Result<Status> close(const StreamId& stream, Millis limit_ms);

 private:
  Session(std::unique_ptr<TlsClient> connection, Dialect dialect, Version version)
      : connection_(std::move(connection)), dialect_(dialect), version_(version) {}
  Result<SecretBytes> call(Bytes message, Service expected, Millis limit_ms);
  Result<void> receive(std::span<std::uint8_t> out, Millis until);

  const std::unique_ptr<TlsClient> connection_;
  const Dialect dialect_;
  const Version version_;
};

}  // namespace qkms::drivers::etsi004
