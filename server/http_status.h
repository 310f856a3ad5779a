// The one place that turns an ErrorCode into HTTP: status, the standard's literal message where it has one, and our
// reason.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace qkms::server {

struct HttpError {
  int status = 500;
  std::string message;      // of the Error body; meaningless for 401, which has no body
  std::string_view reason;  // details[].qkms_reason (shared decision 18); empty: none
  std::optional<int> retry_after_s;
};

HttpError http_error_of(const Error& error);

}  // namespace qkms::server
