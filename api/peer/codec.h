// Peer messages to bytes and back (peer.proto). decode() is where a peer's bytes become values of ours: it lets nothing
// through that breaks a bound of message.h or bounds.h, and never throws. What may surprise: fields that this build
// does not know are dropped in silence (forward compatibility), so a decoded frame may encode to other bytes than it
// came from, but always to the same values.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "api/peer/message.h"
#include "base/error.h"

namespace qkms::api {

// Precondition, asserted: check_bounds(frame) (bounds.h) finds nothing. The largest such frame fits kMaxFrameBytes.
std::string encode(const Frame& frame);
// kInvalid for anything that is not one well-formed frame.
Result<Frame> decode(std::span<const std::uint8_t> bytes);

// A message alone, as the store's outbox keeps it; same rules.
std::string encode_message(const Message& message);
Result<Message> decode_message(std::span<const std::uint8_t> bytes);

}  // namespace qkms::api
