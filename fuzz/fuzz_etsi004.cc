// Any bytes from a device that speaks ETSI GS QKD 004: the first byte chooses the dialect and what is expected, the
// next eight are a header, the rest is a payload. Nothing that is let through is out of bounds, and nothing but
// kInvalid refuses.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "drivers/etsi004/messages.h"
#include "drivers/etsi004/twin_note.h"
#include "fuzz/require.h"

namespace {

using namespace qkms::drivers::etsi004;
using qkms::fuzz::require;

template <class T>
bool is_there(const qkms::Result<T>& result) {
  if (!result) require(result.error().code == qkms::ErrorCode::kInvalid, "what is refused is kInvalid");
  return result.has_value();
}

void try_header(Bytes bytes, Service expected) {
  const auto header = read_header(std::span<const std::uint8_t, kHeaderBytes>(bytes), {1, 0, 1}, expected);
  if (!is_there(header)) return;
  require(header->service == expected || header->service == Service::kError, "another service is refused");
  require(header->payload_bytes <= kMaxChunkBytes + kMaxMetadataBytes + 16, "a size is bounded");
}

void try_open(Dialect dialect, Bytes payload) {
  const auto response = decode_open_response(dialect, payload);
  if (!is_there(response)) return;
  const bool must_say_more = response->status == Status::kOk || response->status == Status::kPeerNotYetThere ||
                             response->status == Status::kQosNotMet;
  require(response->qos.has_value() || !must_say_more, "what is granted or offered is said");
  if (!response->qos) return;
  require(response->qos->metadata_mimetype.size() < kMaxMimetypeBytes, "a mimetype is bounded");
  // What a device says is what we would say: a request of no sources ends like the answer.
  const auto request = encode(dialect, {1, 0, 1}, OpenRequest{"", "", *response->qos, response->stream});
  std::vector<std::uint8_t> answer(4, 0);
  answer.insert(answer.end(), request.begin() + kHeaderBytes + 2, request.end());
  const auto decoded = decode_open_response(dialect, answer);
  require(decoded && decoded->qos == response->qos && decoded->stream == response->stream, "a QoS survives");
}

void try_get(Dialect dialect, Bytes payload) {
  const auto response = decode_get_response(dialect, payload);
  if (!is_there(response)) return;
  require(response->key.size() <= kMaxChunkBytes, "a key is bounded");
  require(response->metadata.size() <= kMaxMetadataBytes, "metadata is bounded");
  require(response->key.empty() || response->status == Status::kOk, "a key comes with status 0 alone");
}

void try_note(Bytes bytes) {
  const std::string text(bytes.begin(), bytes.end());
  const auto note = decode_twin_note(text);
  require(!note || encode(*note) == text, "a note that is read is what is written");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, size);
  try_note(bytes);
  if (size < 1 + kHeaderBytes) return 0;
  const Dialect dialect = (bytes[0] & 1) == 0 ? Dialect::kEtsiC : Dialect::kFixedMime;
  const Bytes payload = bytes.subspan(1 + kHeaderBytes);
  switch (bytes[0] >> 1 & 3) {
    case 0:
      try_header(bytes.subspan(1, kHeaderBytes), Service::kOpenResponse);
      try_open(dialect, payload);
      break;
    case 1:
      try_header(bytes.subspan(1, kHeaderBytes), Service::kGetResponse);
      try_get(dialect, payload);
      break;
    default:
      try_header(bytes.subspan(1, kHeaderBytes), Service::kCloseResponse);
      is_there(decode_close_response(payload));
      break;
  }
  return 0;
}
