#include "server/error_response.h"

#include <array>

#include "api/etsi014/response.h"
#include "server/http_status.h"

namespace qkms::server {

http::Response error_response(const Error& error) {
  const HttpError as_http = http_error_of(error);
  http::Response response;
  response.status = as_http.status;
  if (as_http.status == 401) return response;
  response.content_type = "application/json";
  response.retry_after_s = as_http.retry_after_s;
  const std::array<api::etsi014::Detail, 1> detail = {{{"qkms_reason", as_http.reason}}};
  const std::span<const api::etsi014::Detail> details(detail.data(), as_http.reason.empty() ? 0 : 1);
  response.body = http::body_of(api::etsi014::error_body(as_http.message, details));
  return response;
}

http::Response error_response(int status, std::string_view message) {
  http::Response response;
  response.status = status;
  response.content_type = "application/json";
  response.body = http::body_of(api::etsi014::error_body(message));
  return response;
}

}  // namespace qkms::server
