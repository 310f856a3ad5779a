// Errors as HTTP answers with the Error body of ETSI GS QKD 014 V1.1.1 §6.5, for every listener.
#pragma once

#include <string_view>

#include "base/error.h"
#include "server/http/message.h"

namespace qkms::server {

// From an Error, by http_status.h. 401 has no body (shared decision 17).
http::Response error_response(const Error& error);
// For what has no ErrorCode: 404, 405, 413, 415 and the like.
http::Response error_response(int status, std::string_view message);

}  // namespace qkms::server
