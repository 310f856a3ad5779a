// Takes key material from a device, or another vendor's key manager, that speaks ETSI GS QKD 004 V2.1.1.
//
// Operation: one connection, one key stream, chunk after chunk; key_stream.h makes blocks of them. The stream's ID is
// configured, the same at both ends; or the end that opens it is given one by the device and tells its twin
// (twin_note.h). An error ends the run. The next one opens the same stream again and goes on behind the last index that
// it used, or asked for: an answer that was lost is never asked for again.
//
// What would surprise: stopping does not close the stream, since with the last CLOSE a device may forget it, and begin
// again with index 0 and other bits. It is closed when it is replaced, when its QoS is refused, and when the device
// says that our own is still in use. An ID that the twin tells and that is in use is left alone: it may be another
// link's.
//
// Limits: kMaxChunkBytes, kMaxMetadataBytes; each call has a deadline.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "drivers/driver.h"
#include "drivers/etsi004/messages.h"
#include "drivers/tls_settings.h"

namespace qkms::drivers {

// Who opens the stream when its ID is not configured: one of the two ends.
enum class StreamEnd { kOpens, kJoins };

struct Etsi004Settings {
  TlsSettings tls;
  etsi004::Dialect dialect = etsi004::Dialect::kEtsiC;
  etsi004::Version version = {1, 0, 1};  // in the header of each message; the standard says nothing of it
  std::string source, destination;       // URIs of this end's and the other end's application
  std::optional<etsi004::StreamId> stream;
  StreamEnd end = StreamEnd::kOpens;
  etsi004::Qos qos = {.chunk_bytes = 256,
                      .max_bps = 1'000'000,
                      .min_bps = 0,
                      .jitter_bps = 0,
                      .priority = 0,
                      .timeout_ms = 5'000,
                      .ttl_s = 3'600,
                      .metadata_mimetype = "application/json"};
  std::uint32_t least_bps = 0;      // a device that offers less than was asked for may go down to this Min_bps
  std::uint32_t poll_ms = 1'000;    // the longest pause before the device is asked again for what it did not have
  std::uint32_t answer_ms = 5'000;  // for the device to answer, beyond the QoS's Timeout where that counts
  bool direct = false;              // keys that came over other nodes are an alarm
  bool operator==(const Etsi004Settings&) const = default;
};

std::unique_ptr<Driver> make_etsi004_driver(LinkId link, Etsi004Settings settings);

}  // namespace qkms::drivers
