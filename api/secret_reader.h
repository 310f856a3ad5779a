// The way of key bits in: from the base64 of somebody's JSON into a box, past every std::string.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/secret.h"

namespace qkms::api {

// RFC 4648 §4: the alphabet, and padding to a multiple of four. Nothing when the characters are anything else. What the
// characters are makes no difference in time or in which memory is touched, unless they are refused.
std::optional<SecretBytes> decode_base64(std::span<const std::uint8_t> characters);

// The same for what stands between the quotes of a JSON string (JsonInPlace): some writers put \/ for a slash.
std::optional<SecretBytes> decode_base64_in_json(std::string_view inner);

}  // namespace qkms::api
