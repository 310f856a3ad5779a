#include "server/http/framing.h"

#include <algorithm>
#include <cstddef>

namespace qkms::server::http {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// RFC 3986 §3.2.2 and §3.2.3: uri-host [":" port]. An empty one is allowed.
bool is_host(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~!$&'()*+,;=:[]%").contains(c);
  });
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::optional<Refusal> check_framing(int version_minor, std::span<const HeaderLine> header) {
  std::size_t hosts = 0, lengths = 0, encodings = 0;
  for (const auto& [name, value] : header) {
    if (equal_ignoring_case(name, "Host")) {
      ++hosts;
      if (!is_host(value)) return Refusal{400, "Host is not a host"};
    }
    if (equal_ignoring_case(name, "Content-Length")) {
      ++lengths;
      if (!all_digits(value)) return Refusal{400, "Content-Length is not one number"};
    }
    if (equal_ignoring_case(name, "Transfer-Encoding")) {
      ++encodings;
      if (!equal_ignoring_case(value, "chunked")) return Refusal{501, "the only Transfer-Encoding served is chunked"};
    }
  }
  if (lengths > 1) return Refusal{400, "several Content-Length"};
  if (encodings > 1) return Refusal{501, "several Transfer-Encoding"};
  if (encodings == 1 && lengths == 1) return Refusal{400, "both Content-Length and Transfer-Encoding"};
  if (encodings == 1 && version_minor == 0) return Refusal{400, "Transfer-Encoding in HTTP/1.0"};  // RFC 9112 §6.1
  if (hosts > 1) return Refusal{400, "several Host"};  // RFC 9112 §3.2, as is the next
  if (hosts == 0 && version_minor > 0) return Refusal{400, "no Host"};
  return std::nullopt;
}

}  // namespace qkms::server::http
