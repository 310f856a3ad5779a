// Writes public text as JSON (RFC 8259). Never for key bits: those go through SecretWriter.
#pragma once

#include <string>
#include <string_view>

namespace qkms::api {

// Appends the text as a JSON string, quotes included. Any bytes are taken: what is not UTF-8 becomes U+FFFD, byte by
// byte.
void append_json_string(std::string& out, std::string_view text);

}  // namespace qkms::api
