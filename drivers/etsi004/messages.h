// The messages of ETSI GS QKD 004 V2.1.1 (stream interface) in the two encodings that are in use; the standard defines
// none. Both have a header of 8 bytes: major, minor, micro, service, payload size; all numbers are big endian. Pure
// functions; what comes from the device is untrusted.
//
// Errors: kInvalid, with a text that holds no bytes of the message. Limits: below; whoever reads a message from the
// wire asks read_header() first, which lets no size pass that its service cannot have.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/secret.h"

namespace qkms::drivers::etsi004 {

enum class Dialect {
  kEtsiC,      // Metadata_mimetype ends with its NUL; Get key sends its metadata buffer
  kFixedMime,  // Metadata_mimetype has 256 bytes; errors are a status alone; Get key sends the buffer's size alone
};

using Version = std::array<std::uint8_t, 3>;
using StreamId = std::array<std::uint8_t, 16>;  // Key_stream_ID; all zero: none
using Bytes = std::span<const std::uint8_t>;

// Clause 6.2. The third edition numbers them anew: its devices are not spoken to.
enum class Status : std::uint32_t {
  kOk = 0,
  kPeerNotYetThere = 1,  // of OPEN_CONNECT: it has succeeded
  kNotEnoughKey = 2,
  kPeerNotConnected = 3,
  kNoQkdConnection = 4,
  kInUse = 5,
  kTimeOut = 6,
  kQosNotMet = 7,
  kMetadataTooSmall = 8,
};

enum class Service : std::uint8_t {
  kError = 0x00,
  kOpenRequest = 0x02,
  kOpenResponse = 0x03,
  kGetRequest = 0x04,
  kGetResponse = 0x05,
  kCloseRequest = 0x08,
  kCloseResponse = 0x09,
};

inline constexpr std::size_t kHeaderBytes = 8;
inline constexpr std::size_t kMaxMimetypeBytes = 256;  // with the NUL
inline constexpr std::size_t kMaxMetadataBytes = 4096;
inline constexpr std::size_t kMaxChunkBytes = 1 << 20;

struct Qos {
  std::uint32_t chunk_bytes = 0;  // Key_chunk_size
  std::uint32_t max_bps = 0, min_bps = 0, jitter_bps = 0;
  std::uint32_t priority = 0;
  std::uint32_t timeout_ms = 0;
  std::uint32_t ttl_s = 0;
  std::string metadata_mimetype;  // empty: no metadata
  bool operator==(const Qos&) const = default;
};

struct OpenRequest {
  std::string source, destination;  // URIs
  Qos qos;
  StreamId stream{};
};

struct OpenResponse {
  Status status = Status::kOk;
  std::optional<Qos> qos;  // what is granted, or the counter-proposal; always with statuses 0, 1 and 7
  StreamId stream{};
};

struct GetRequest {
  StreamId stream{};
  std::uint32_t index = 0;
  std::uint32_t metadata_bytes = 0;  // room for metadata, at most kMaxMetadataBytes
};

struct GetResponse {
  Status status = Status::kOk;
  std::uint32_t index = 0;  // of `key`
  SecretBytes key;          // status 0 alone has one
  std::string metadata;
  std::uint32_t needed_metadata_bytes = 0;  // with status 8
};

// Whole messages, header included.
std::vector<std::uint8_t> encode(Dialect dialect, Version version, const OpenRequest& request);
std::vector<std::uint8_t> encode(Dialect dialect, Version version, const GetRequest& request);
std::vector<std::uint8_t> encode_close(Version version, const StreamId& stream);

struct Header {
  Service service = Service::kError;  // the one that was expected, or kError
  std::uint32_t payload_bytes = 0;
};
// `ours`: the version that we speak; the major number must be the same.
Result<Header> read_header(std::span<const std::uint8_t, kHeaderBytes> bytes, Version ours, Service expected);

// Payloads. A status that is not of the table is let through: it means nothing good, and its caller says so.
Result<OpenResponse> decode_open_response(Dialect dialect, Bytes payload);
Result<GetResponse> decode_get_response(Dialect dialect, Bytes payload);
Result<Status> decode_close_response(Bytes payload);

}  // namespace qkms::drivers::etsi004
