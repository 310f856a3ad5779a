// The extensions of Get key that this KME knows (ETSI GS QKD 014 V1.1.1 §6.2), and by which names.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/etsi014/request.h"
#include "kms/types.h"

namespace qkms::server {

enum class ExtensionMeaning { kRouteType, kMaxAge };

inline constexpr std::string_view kRouteTypeExtension = "qkms_route_type";  // "direct", "indirect" or "any"
inline constexpr std::string_view kMaxAgeExtension = "qkms_max_age_ms";     // an integer from 1 to a year

using ExtensionNames = std::map<std::string, ExtensionMeaning, std::less<>>;
// The two names above; the configuration may add others.
ExtensionNames standard_extensions();

using Extensions = std::span<const api::etsi014::Extension>;

// Those that have no meaning here, each once, and no more than fit an answer.
std::vector<std::string> unsupported(Extensions mandatory, const ExtensionNames& names);

// All of `mandatory` must be supported. kInvalid: a value that is not accepted, or two that contradict each other.
Result<kms::Conditions> read_mandatory(Extensions mandatory, const ExtensionNames& names);
// What cannot be read is passed over: nothing is refused for an optional extension.
kms::Conditions read_optional(Extensions optional, const ExtensionNames& names);

}  // namespace qkms::server
