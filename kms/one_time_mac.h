// The one-time authenticator with which two KMEs find out whether they hold the same block without sending any bit of
// it.
//
// Poly1305 (RFC 8439 §2.5) with a key that is used once: 32 bytes from the front of the block, spent by this. The tag
// is
// ((m as a polynomial at r) + s) mod 2^128 with s uniform and used once, so it tells nothing about r or m, whatever the
// computing power of who sees it; a different m is accepted with probability at most 8 * ceil(len / 16) / 2^106
// (Bernstein, "The Poly1305-AES message-authentication code", FSE 2005, theorem 3.3): below 2^-87 for a block of 1 MiB.
#pragma once

#include <span>

#include "api/peer/message.h"

namespace qkms::kms {

inline constexpr std::size_t kOneTimeKeyBytes = 32;

// The tag of block `id`. `bits` is the whole block, more than kOneTimeKeyBytes long; its first kOneTimeKeyBytes are the
// key and must never be used for anything else. Only what never changes is under the tag: a block may be offered again,
// cut in another way, and a second message under the same key would give the key away.
api::Tag128 block_tag(const BlockId& id, std::span<const std::uint8_t> bits);

// Constant time.
bool tags_equal(const api::Tag128& a, const api::Tag128& b);

}  // namespace qkms::kms
