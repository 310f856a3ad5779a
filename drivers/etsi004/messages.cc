#include "drivers/etsi004/messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <string_view>
#include <utility>

namespace qkms::drivers::etsi004 {
namespace {

constexpr std::size_t kQosNumbersBytes = 7 * 4;
constexpr std::size_t kMaxOpenResponseBytes = 4 + kQosNumbersBytes + kMaxMimetypeBytes + sizeof(StreamId);
constexpr std::size_t kMaxGetResponseBytes = 4 + 4 + 4 + kMaxChunkBytes + 4 + kMaxMetadataBytes;
constexpr std::size_t kMaxErrorBytes = 1024;  // its content is not defined, and is not looked at

std::unexpected<Error> refuse(std::string why) { return fail(ErrorCode::kInvalid, std::move(why)); }

// --- writing

class Writer {
 public:
  void number(std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes_.push_back(static_cast<std::uint8_t>(value >> shift));
  }
  void bytes(Bytes value) { bytes_.insert(bytes_.end(), value.begin(), value.end()); }
  void zeroes(std::size_t count) { bytes_.insert(bytes_.end(), count, 0); }
  // With its NUL; what is behind a NUL of its own is cut off.
  void text(std::string_view value) {
    value = value.substr(0, value.find('\0'));
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    bytes_.push_back(0);
  }
  std::vector<std::uint8_t> finish(Version version, Service service) && {
    Writer whole;
    whole.bytes(version);
    whole.bytes_.push_back(static_cast<std::uint8_t>(service));
    whole.number(static_cast<std::uint32_t>(bytes_.size()));
    whole.bytes(bytes_);
    return std::move(whole.bytes_);
  }

 private:
  std::vector<std::uint8_t> bytes_;
};

void write_qos(Writer& out, Dialect dialect, const Qos& qos) {
  for (const std::uint32_t value :
       {qos.chunk_bytes, qos.max_bps, qos.min_bps, qos.jitter_bps, qos.priority, qos.timeout_ms, qos.ttl_s}) {
    out.number(value);
  }
  const std::string mimetype = qos.metadata_mimetype.substr(0, kMaxMimetypeBytes - 1);
  out.text(mimetype);
  if (dialect == Dialect::kFixedMime) out.zeroes(kMaxMimetypeBytes - 1 - mimetype.size());
}

// --- reading

// Reads from the front. Whoever asks for more than there is gets zeroes, and `is_whole` says so at the end.
class Reader {
 public:
  explicit Reader(Bytes bytes) : bytes_(bytes) {}
  std::size_t left() const { return bytes_.size(); }
  Bytes bytes(std::size_t size) {
    if (size > bytes_.size()) {
      spoil();
      return {};
    }
    const Bytes part = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return part;
  }
  std::uint32_t number() {
    std::uint32_t value = 0;
    for (const std::uint8_t byte : bytes(4)) value = value << 8 | byte;
    return value;
  }
  // Up to a NUL, which must be among the first `limit` bytes.
  std::string text(std::size_t limit) {
    const Bytes within = bytes_.first(std::min(limit, bytes_.size()));
    const auto end = std::ranges::find(within, 0);
    std::string value(within.begin(), end);
    if (end == within.end()) {
      spoil();
    } else {
      bytes(value.size() + 1);
    }
    return value;
  }
  StreamId stream() {
    StreamId id{};
    std::ranges::copy(bytes(id.size()), id.begin());
    return id;
  }
  void spoil() {
    whole_ = false;
    bytes_ = {};
  }
  // Everything that was asked for was there, and nothing else.
  bool is_whole() const { return whole_ && bytes_.empty(); }

 private:
  Bytes bytes_;
  bool whole_ = true;
};

Qos read_qos(Reader& in, Dialect dialect) {
  Qos qos;
  for (std::uint32_t* value :
       {&qos.chunk_bytes, &qos.max_bps, &qos.min_bps, &qos.jitter_bps, &qos.priority, &qos.timeout_ms, &qos.ttl_s}) {
    *value = in.number();
  }
  if (dialect == Dialect::kEtsiC) {
    qos.metadata_mimetype = in.text(kMaxMimetypeBytes);
  } else {
    const Bytes field = in.bytes(kMaxMimetypeBytes);
    const auto end = std::ranges::find(field, 0);
    if (end == field.end()) in.spoil();
    qos.metadata_mimetype.assign(field.begin(), end);
  }
  return qos;
}

std::size_t longest_payload(Service service) {
  switch (service) {
    case Service::kOpenResponse:
      return kMaxOpenResponseBytes;
    case Service::kGetResponse:
      return kMaxGetResponseBytes;
    case Service::kCloseResponse:
      return 4;
    default:
      return kMaxErrorBytes;
  }
}

// The needed size stands alone in one dialect; in the other it is the metadata's size, whose bytes may be left out.
Result<GetResponse> read_needed_size(Dialect dialect, Reader& in, GetResponse response) {
  if (dialect == Dialect::kEtsiC) {
    response.index = in.number();
    if (in.number() != 0) return refuse("an answer to GET_KEY has a key, and a status that says that it has none");
  }
  response.needed_metadata_bytes = in.number();
  if (in.left() > 0 && in.left() == response.needed_metadata_bytes) in.bytes(in.left());
  if (!in.is_whole()) return refuse("an answer to GET_KEY with status 8 has a wrong length");
  return response;
}

}  // namespace

std::vector<std::uint8_t> encode(Dialect dialect, Version version, const OpenRequest& request) {
  Writer out;
  out.text(request.source);
  out.text(request.destination);
  write_qos(out, dialect, request.qos);
  out.bytes(request.stream);
  return std::move(out).finish(version, Service::kOpenRequest);
}

std::vector<std::uint8_t> encode(Dialect dialect, Version version, const GetRequest& request) {
  assert(request.metadata_bytes <= kMaxMetadataBytes);
  Writer out;
  out.bytes(request.stream);
  out.number(request.index);
  out.number(request.metadata_bytes);
  if (dialect == Dialect::kEtsiC) out.zeroes(request.metadata_bytes);
  return std::move(out).finish(version, Service::kGetRequest);
}

std::vector<std::uint8_t> encode_close(Version version, const StreamId& stream) {
  Writer out;
  out.bytes(stream);
  return std::move(out).finish(version, Service::kCloseRequest);
}

Result<Header> read_header(std::span<const std::uint8_t, kHeaderBytes> bytes, Version ours, Service expected) {
  Reader in(bytes);
  const Bytes version = in.bytes(3);
  if (version[0] != ours[0])
    return refuse(fmt::format("the device speaks version {}.{}.{}", version[0], version[1], version[2]));
  const auto service = static_cast<Service>(in.bytes(1)[0]);
  if (service != expected && service != Service::kError) {
    return refuse(fmt::format("the device answers with service {:#04x} instead of {:#04x}", std::to_underlying(service),
                              std::to_underlying(expected)));
  }
  const Header header{service, in.number()};
  if (header.payload_bytes > longest_payload(service)) {
    return refuse(fmt::format("the device announces {} bytes; accepted: 0 to {}", header.payload_bytes,
                              longest_payload(service)));
  }
  return header;
}

Result<OpenResponse> decode_open_response(Dialect dialect, Bytes payload) {
  Reader in(payload);
  OpenResponse response;
  response.status = static_cast<Status>(in.number());
  const bool is_told_more = response.status == Status::kOk || response.status == Status::kPeerNotYetThere ||
                            response.status == Status::kQosNotMet;
  if (in.left() > 0 || is_told_more) {
    response.qos = read_qos(in, dialect);
    response.stream = in.stream();
  }
  if (!in.is_whole()) return refuse("an answer to OPEN_CONNECT has a wrong length");
  return response;
}

Result<GetResponse> decode_get_response(Dialect dialect, Bytes payload) {
  Reader in(payload);
  GetResponse response;
  response.status = static_cast<Status>(in.number());
  if (response.status == Status::kMetadataTooSmall) return read_needed_size(dialect, in, std::move(response));
  if (in.left() > 0 || response.status == Status::kOk) {
    response.index = in.number();
    const Bytes key = in.bytes(in.number());
    const Bytes metadata = in.bytes(in.number());
    if (key.size() > kMaxChunkBytes || metadata.size() > kMaxMetadataBytes)
      return refuse("an answer to GET_KEY has too long a key, or metadata");
    if (response.status != Status::kOk && !key.empty())
      return refuse("an answer to GET_KEY has a key, and a status that says that it has none");
    response.key = SecretBytes::copy_of(key);
    response.metadata = Reader(metadata).text(metadata.size());  // a buffer: what is behind a NUL is no text
  }
  if (!in.is_whole()) return refuse("an answer to GET_KEY has a wrong length");
  return response;
}

Result<Status> decode_close_response(Bytes payload) {
  Reader in(payload);
  const auto status = static_cast<Status>(in.number());
  if (!in.is_whole()) return refuse("an answer to CLOSE has a wrong length");
  return status;
}

}  // namespace qkms::drivers::etsi004
