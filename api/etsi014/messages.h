// The literal messages of ETSI GS QKD 014 V1.1.1 (§5, error responses): clients compare them, so not a letter may
// change.
#pragma once

#include <string_view>

namespace qkms::api::etsi014 {

inline constexpr std::string_view kSizeNotMultipleOf8 = "size shall be a multiple of 8";
inline constexpr std::string_view kExtensionUnsupported = "not all extension_mandatory parameters are supported";
inline constexpr std::string_view kExtensionUnmet = "not all extension_mandatory request options could be met";
inline constexpr std::string_view kKeyNotFound = "one or more keys specified are not found on KME";

}  // namespace qkms::api::etsi014
