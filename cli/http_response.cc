// The text side of the HTTPS client: URLs and answers.
#include <fmt/format.h>

#include <algorithm>

#include "api/http_text.h"
#include "base/text.h"
#include "cli/https_client.h"

namespace qkms::cli {

namespace {

std::unexpected<Error> malformed(std::string_view what) {
  return fail(ErrorCode::kCorrupt, fmt::format("the server's answer is malformed: {}", what));
}

// The value of a header in a block of "Name: value\r\n" lines; "" when it is not there.
std::string_view header(std::string_view block, std::string_view name) {
  while (!block.empty()) {
    const auto end = std::min(block.find("\r\n"), block.size());
    const auto line = block.substr(0, end);
    const auto colon = line.find(':');
    if (colon != std::string_view::npos && api::equal_ignoring_case(line.substr(0, colon), name))
      return api::trimmed(line.substr(colon + 1));
    block.remove_prefix(std::min(end + 2, block.size()));
  }
  return "";
}

// RFC 9112 §7.1; extensions and trailers are passed over.
Result<std::string> unchunk(std::string_view bytes) {
  std::string out;
  while (true) {
    const auto end = bytes.find("\r\n");
    if (end == std::string_view::npos) return malformed("a chunk without a size");
    std::size_t size = 0;
    if (!api::parse_number(bytes.substr(0, std::min(end, bytes.find(';'))), size, 16))
      return malformed("a chunk without a size");
    bytes.remove_prefix(end + 2);
    if (size == 0) return out;
    if (size > bytes.size() || bytes.size() - size < 2) return malformed("a chunk is cut");
    out += bytes.substr(0, size);
    if (bytes.substr(size, 2) != "\r\n") return malformed("a chunk does not end");
    bytes.remove_prefix(size + 2);
  }
}

Result<std::string> body_of(std::string_view headers, std::string_view bytes) {
  if (api::equal_ignoring_case(header(headers, "Transfer-Encoding"), "chunked")) return unchunk(bytes);
  const auto stated = header(headers, "Content-Length");
  if (stated.empty()) return std::string(bytes);
  std::size_t size = 0;
  if (!api::parse_number(stated, size)) return malformed("Content-Length");
  if (size > bytes.size()) return malformed("it is cut");
  return std::string(bytes.substr(0, size));
}

}  // namespace

Result<HttpsTarget> parse_target(std::string_view url) {
  auto parsed = api::parse_https_url(url);
  if (!parsed || !parsed->path.empty())
    return fail(ErrorCode::kInvalid, fmt::format("URL \"{}\"; accepted: https://HOST:PORT", printable(url)));
  return HttpsTarget{std::move(parsed->host), parsed->port};
}

Result<HttpsResponse> parse_response(std::string_view bytes) {
  const auto head_end = bytes.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return malformed("no end of headers");
  const auto line_end = bytes.find("\r\n");
  const auto line = bytes.substr(0, line_end);
  HttpsResponse out;
  const bool is_http = line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 ");
  if (!is_http || line.size() < 12 || !api::parse_number(line.substr(9, 3), out.status))
    return malformed("no status line");
  const auto headers = line_end == head_end ? std::string_view() : bytes.substr(line_end + 2, head_end - line_end - 2);
  auto body = body_of(headers, bytes.substr(head_end + 4));
  if (!body) return std::unexpected(body.error());
  out.body = std::move(*body);
  return out;
}

}  // namespace qkms::cli
