// What makes a peer message well-formed, apart from its encoding: counts, sizes, enumerations, sums. decode() applies
// it to everything that comes in; whoever builds a message keeps to it, and encode() asserts that. Whether a
// well-formed message makes sense now (whose extent, which sequence number) is the engine's question, not this file's.
#pragma once

#include "api/peer/message.h"
#include "base/error.h"

namespace qkms::api {

inline constexpr std::size_t kMaxCapabilityBytes = 64;
// A century: far above any configured life, and far below what would overflow when it is added to a clock.
inline constexpr std::uint64_t kMaxLifeMs = 100ULL * 366 * 24 * 3600 * 1000;

// kInvalid, with a text that names the message and the field.
Result<void> check_bounds(const Message& message);
Result<void> check_bounds(const Frame& frame);

}  // namespace qkms::api
