// Small pieces of HTTP/1.x text.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace qkms::api {

bool equal_ignoring_case(std::string_view a, std::string_view b);
// Without blanks and tabs at either end.
std::string_view trimmed(std::string_view text);

// False when it is no number, or something stands behind it.
template <class Integer>
bool parse_number(std::string_view text, Integer& out, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

struct HttpsUrl {
  std::string host;  // a name or an IP address (IPv6 without brackets)
  std::uint16_t port = 443;
  std::string path;  // "" or "/...", without a slash at the end, as it stands
};
// https://HOST[:PORT][/PATH], and nothing else.
std::optional<HttpsUrl> parse_https_url(std::string_view url);

// "HOST:PORT" as the Host header wants it.
std::string host_header(std::string_view host, std::uint16_t port);

}  // namespace qkms::api
