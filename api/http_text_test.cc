#include "api/http_text.h"

#include <gtest/gtest.h>

namespace qkms::api {
namespace {

TEST(HttpText, ReadsUrlsOfApis) {
  struct Case {
    const char* url;
    const char* host;  // "": refused
    int port = 443;
    const char* path = "";
  };
  const Case cases[] = {
      {"https://kme.example", "kme.example"},
      {"https://kme.example/", "kme.example"},
      {"https://10.0.0.1:8443/qkd/unit-1/", "10.0.0.1", 8443, "/qkd/unit-1"},
      {"https://[::1]:8443/a%20b", "::1", 8443, "/a%20b"},
      {"https://h/a?b", ""},
      {"https://h/a#b", ""},
      {"https://h/a b", ""},
      {"https://h/a\r\nX: y", ""},
      {"https://user@h/", ""},
      {"https://h:0/", ""},
      {"https:///a", ""},
      {"http://h/", ""},
  };
  for (const auto& c : cases) {
    const auto url = parse_https_url(c.url);
    EXPECT_EQ(url.has_value(), *c.host != '\0') << c.url;
    if (!url) continue;
    EXPECT_EQ(url->host, c.host) << c.url;
    EXPECT_EQ(url->port, c.port) << c.url;
    EXPECT_EQ(url->path, c.path) << c.url;
  }
}

TEST(HttpText, WritesHostHeaders) {
  EXPECT_EQ(host_header("kme.example", 443), "kme.example:443");
  EXPECT_EQ(host_header("::1", 8443), "[::1]:8443");
}

}  // namespace
}  // namespace qkms::api
