// Percent-encoding (RFC 3986 §2.1). `+` is a plus sign, never a blank.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace qkms::api {

// Any bytes come out. kInvalid: a % that two hexadecimal digits do not follow.
Result<std::string> percent_decode(std::string_view text);

// Everything but RFC 3986's unreserved characters becomes %XX: fit for a segment of a path or the value of a query.
std::string percent_encode(std::string_view text);

}  // namespace qkms::api
