// IDs for blocks that a device gives no ID of 128 bits: the same at both ends because both derive them from the same
// facts.
#pragma once

#include <initializer_list>
#include <string_view>

#include "base/id.h"

namespace qkms::drivers {

// RFC 9562 §5.8 (version 8, by a rule of the maker's): the first 122 bits of a SHA-256 over the facts, each with its
// length before it, so that no two lists of facts look alike.
BlockId derived_block_id(std::initializer_list<std::string_view> facts);

}  // namespace qkms::drivers
