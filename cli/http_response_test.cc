#include <gtest/gtest.h>

#include "cli/https_client.h"

namespace qkms::cli {
namespace {

TEST(HttpsTarget, IsReadFromAUrl) {
  struct Case {
    const char* url;
    const char* host;  // "": refused
    int port;
  };
  const Case cases[] = {
      {"https://kme.example:8445", "kme.example", 8445},
      {"https://kme.example:8445/", "kme.example", 8445},
      {"https://kme.example", "kme.example", 443},
      {"https://[::1]:8445", "::1", 8445},
      {"https://[::1]", "::1", 443},
      {"http://kme.example:1", "", 0},
      {"https://", "", 0},
      {"https://:8445", "", 0},
      {"https://h:0", "", 0},
      {"https://h:70000", "", 0},
      {"https://h:", "", 0},
      {"https://user@h:1", "", 0},
      {"https://h/path", "", 0},
      {"https://h\r\nX: y:1", "", 0},
      {"kme.example:1", "", 0},
  };
  for (const auto& c : cases) {
    const auto target = parse_target(c.url);
    EXPECT_EQ(target.has_value(), *c.host != '\0') << c.url;
    if (!target) continue;
    EXPECT_EQ(target->host, c.host) << c.url;
    EXPECT_EQ(target->port, c.port) << c.url;
  }
}

TEST(HttpsResponse, IsReadInEachFramingOrRefused) {
  struct Case {
    const char* name;
    std::string bytes;
    int status;  // 0: refused
    std::string body;
  };
  const Case cases[] = {
      {"length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok"},
      {"bytes after the length", "HTTP/1.1 200 OK\r\ncontent-length:2 \r\n\r\nokXX", 200, "ok"},
      {"until the end", "HTTP/1.0 503 No\r\n\r\nall of it", 503, "all of it"},
      {"no body", "HTTP/1.1 401 \r\nContent-Length: 0\r\n\r\n", 401, ""},
      {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\nA\r\n0123456789\r\n0\r\n\r\n",
       200, "ok0123456789"},
      {"cut", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", 0, ""},
      {"bad length", "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nok", 0, ""},
      {"huge length", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", 0, ""},
      {"cut chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nF\r\nok\r\n", 0, ""},
      {"huge chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nok\r\n", 0, ""},
      {"chunk without an end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokXX", 0, ""},
      {"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", 0, ""},
      {"not HTTP", "SSH-2.0-x\r\n\r\n", 0, ""},
      {"no status", "HTTP/1.1 abc\r\n\r\n", 0, ""},
      {"no end of headers", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", 0, ""},
      {"nothing", "", 0, ""},
  };
  for (const auto& c : cases) {
    const auto response = parse_response(c.bytes);
    EXPECT_EQ(response.has_value(), c.status != 0) << c.name;
    if (!response) continue;
    EXPECT_EQ(response->status, c.status) << c.name;
    EXPECT_EQ(response->body, c.body) << c.name;
  }
}

}  // namespace
}  // namespace qkms::cli
