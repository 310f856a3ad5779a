#include "api/http_text.h"

#include <algorithm>

namespace qkms::api {

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// RFC 3986, of which an operator needs no user, query or fragment.
std::optional<HttpsUrl> parse_https_url(std::string_view url) {
  constexpr std::string_view kScheme = "https://";
  if (!url.starts_with(kScheme)) return std::nullopt;
  url.remove_prefix(kScheme.size());
  const std::string_view authority = url.substr(0, url.find('/'));
  std::string_view path = url.substr(authority.size());
  while (path.ends_with('/')) path.remove_suffix(1);
  HttpsUrl out;
  const auto colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
  if (has_port && (!parse_number(authority.substr(colon + 1), out.port) || out.port == 0)) return std::nullopt;
  std::string_view host = has_port ? authority.substr(0, colon) : authority;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto fits = [](std::string_view text, std::string_view forbidden) {
    return std::ranges::all_of(text, [=](char c) { return c > ' ' && c < 0x7f && !forbidden.contains(c); });
  };
  if (host.empty() || host.size() > 253 || !fits(host, "?#@[]%\"") || !fits(path, "?#\"\\")) return std::nullopt;
  out.host = host;
  out.path = path;
  return out;
}

std::string host_header(std::string_view host, std::uint16_t port) {
  const bool is_ipv6 = host.contains(':');
  return (is_ipv6 ? "[" + std::string(host) + "]" : std::string(host)) + ':' + std::to_string(port);
}

}  // namespace qkms::api
