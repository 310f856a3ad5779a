#include "server/http/message.h"

#include <fmt/format.h>

#include <algorithm>

namespace qkms::server::http {

SecretBytes body_of(std::string_view text) {
  SecretBytes body(text.size());
  std::copy(text.begin(), text.end(), body.reveal_mutable().begin());
  return body;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

SecretBytes serialize(const Response& response, Persistence persistence, BodyUse body_use) {
  fmt::memory_buffer head;
  const auto out = std::back_inserter(head);
  fmt::format_to(out, "HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
  if (!response.content_type.empty()) fmt::format_to(out, "Content-Type: {}\r\n", response.content_type);
  if (!response.allow.empty()) fmt::format_to(out, "Allow: {}\r\n", response.allow);
  if (response.retry_after_s) fmt::format_to(out, "Retry-After: {}\r\n", *response.retry_after_s);
  if (persistence == Persistence::kClose) fmt::format_to(out, "Connection: close\r\n");
  if (persistence == Persistence::kKeepAliveSaid) fmt::format_to(out, "Connection: keep-alive\r\n");
  fmt::format_to(out, "Cache-Control: no-store\r\nContent-Length: {}\r\n\r\n", response.body.size());

  const auto body = body_use == BodyUse::kSend ? response.body.reveal() : std::span<const std::uint8_t>();
  SecretBytes whole(head.size() + body.size());
  const auto rest = std::copy(head.begin(), head.end(), whole.reveal_mutable().begin());
  std::copy(body.begin(), body.end(), rest);
  return whole;
}

}  // namespace qkms::server::http
