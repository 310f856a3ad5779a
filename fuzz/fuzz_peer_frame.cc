// Any bytes from a peer (threat T29): decode() never does harm, and what it lets through is well-formed and survives
// encode() unchanged.
#include <cstdint>
#include <span>
#include <string>

#include "api/peer/bounds.h"
#include "api/peer/codec.h"
#include "fuzz/require.h"

namespace {

using qkms::fuzz::require;

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

void try_frame(std::span<const std::uint8_t> bytes) {
  const auto frame = qkms::api::decode(bytes);
  if (!frame) return require(frame.error().code == qkms::ErrorCode::kInvalid, "a refused frame is kInvalid");
  require(qkms::api::check_bounds(*frame).has_value(), "a decoded frame is within the bounds");
  const std::string again = qkms::api::encode(*frame);
  require(qkms::api::decode(bytes_of(again)) == *frame, "a decoded frame encodes to itself");
}

void try_message(std::span<const std::uint8_t> bytes) {
  const auto message = qkms::api::decode_message(bytes);
  if (!message) return;
  const std::string again = qkms::api::encode_message(*message);
  require(qkms::api::decode_message(bytes_of(again)) == *message, "a decoded message encodes to itself");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try_frame({data, size});
  try_message({data, size});
  return 0;
}
