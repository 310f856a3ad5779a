#include "server/http/request_parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

namespace qkms::server::http {
namespace {

using State = RequestParser::State;
using namespace std::string_literals;

// Feeds the bytes in pieces of at most `piece` and returns the first final state, or the last one.
State feed(RequestParser& parser, std::string_view bytes, std::size_t piece) {
  State state = parser.resume();
  while (!bytes.empty() && state != State::kComplete && state != State::kRejected) {
    const auto space = parser.writable();
    const std::size_t size = std::min({piece, bytes.size(), space.size()});
    std::copy_n(bytes.begin(), size, space.begin());
    state = parser.commit(size);
    bytes.remove_prefix(size);
  }
  return state;
}

struct FramingCase {
  const char* name;
  std::string bytes;
  int status;  // 0: accepted
};

std::string with(std::string_view header, std::string_view body = "", std::string_view version = "1.1") {
  std::string text = "POST /x HTTP/";
  text.append(version).append("\r\nHost: h\r\n").append(header).append("\r\n\r\n").append(body);
  return text;
}

std::vector<FramingCase> framing_corpus() {
  std::string many;
  for (int i = 0; i < 101; ++i) many += "X-" + std::to_string(i) + ": y\r\n";
  return {
      {"plain", with("Content-Length: 4", "abcd"), 0},
      {"chunked", with("Transfer-Encoding: chunked", "4\r\nabcd\r\n0\r\n\r\n"), 0},
      {"chunked with a trailer", with("Transfer-Encoding: chunked", "4\r\nabcd\r\n0\r\nX: y\r\n\r\n"), 0},
      {"chunked and empty", with("Transfer-Encoding: chunked", "0\r\n\r\n"), 0},
      {"chunked and empty with a trailer", with("Transfer-Encoding: chunked", "0\r\nX: y\r\n\r\n"), 0},
      {"empty lines before it", "\r\n\r\n" + with("X: y"), 0},
      {"absolute form", "GET https://evil/api HTTP/1.1\r\nHost: h\r\n\r\n", 0},
      {"upgrade to h2c", with("Upgrade: h2c"), 0},
      {"GET with a body", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab", 0},
      {"unknown method", "FOO / HTTP/1.1\r\nHost: h\r\n\r\n", 0},
      {"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 0},
      {"CL and TE", with("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), 400},
      {"TE and CL", with("Transfer-Encoding: chunked\r\nContent-Length: 4", "0\r\n\r\n"), 400},
      {"two different CL", with("Content-Length: 4\r\nContent-Length: 5", "abcd"), 400},
      {"the same CL twice", with("Content-Length: 4\r\nContent-Length: 4", "abcd"), 400},
      {"a list of CL", with("Content-Length: 4, 4", "abcd"), 400},
      {"signed CL", with("Content-Length: +4", "abcd"), 400},
      {"negative CL", with("Content-Length: -1"), 400},
      {"hexadecimal CL", with("Content-Length: 0x4", "abcd"), 400},
      {"CL over 64 bits", with("Content-Length: 18446744073709551617"), 400},
      {"blank before the colon", with("Content-Length : 4", "abcd"), 400},
      {"TE xchunked", with("Transfer-Encoding: xchunked", "0\r\n\r\n"), 501},
      {"TE chunked, identity", with("Transfer-Encoding: chunked, identity", "0\r\n\r\n"), 501},
      {"TE gzip, chunked", with("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), 501},
      {"TE twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), 400},
      {"TE with VT", with("Transfer-Encoding: \vchunked", "0\r\n\r\n"), 400},
      {"TE on HTTP/1.0", with("Transfer-Encoding: chunked", "0\r\n\r\n", "1.0"), 400},
      {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two Host", with("Host: other"), 400},
      {"folded line", with("X: a\r\n b"), 400},
      {"folded first line", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400},
      {"bare LF", "GET / HTTP/1.1\nHost: h\n\n", 400},
      {"bare CR", with("X: a\rb"), 400},
      {"NUL in a header", with("X: a\0b"s), 400},
      {"negative chunk", with("Transfer-Encoding: chunked", "-1\r\n\r\n"), 400},
      {"huge chunk", with("Transfer-Encoding: chunked", "ffffffffffffffff\r\n"), 413},
      {"chunk over 64 bits", with("Transfer-Encoding: chunked", "10000000000000000\r\n"), 400},
      {"chunk with bare LF", with("Transfer-Encoding: chunked", "4\nabcd\r\n0\r\n\r\n"), 400},
      {"endless chunk header", with("Transfer-Encoding: chunked", "4;" + std::string(9000, 'x')), 400},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 400},
      {"header too large", with("X: " + std::string(9000, 'x')), 431},
      {"target too large", "GET /" + std::string(9000, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n", 431},
      {"101 headers", "GET / HTTP/1.1\r\nHost: h\r\n" + many + "\r\n", 431},
      {"body too large", with("Content-Length: 70000"), 413},
      {"body too large in chunks",
       with("Transfer-Encoding: chunked", "8000\r\n" + std::string(0x8000, 'x') + "\r\n8001\r\n"), 413},
      {"TLS inside TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s, 400},
      {"blank in the method", " GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
  };
}

TEST(RequestParser, RefusesDoubtfulFramingHoweverItIsCut) {
  for (const FramingCase& one : framing_corpus()) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{100'000}}) {
      SCOPED_TRACE(std::string(one.name) + ", pieces of " + std::to_string(piece));
      RequestParser parser({});
      const State state = feed(parser, one.bytes, piece);
      if (one.status == 0) {
        EXPECT_EQ(state, State::kComplete);
      } else {
        EXPECT_EQ(state, State::kRejected);
        EXPECT_EQ(parser.refusal().status, one.status) << parser.refusal().why;
      }
    }
  }
}

// Beast checks its own assumptions with asserts, and those must be out of reach of whoever sends.
TEST(RequestParser, SurvivesWhateverIsSentInWhateverPieces) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto below = [&](std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
  };
  using namespace std::literals;
  const std::string_view spice = "\r\n\t :;,0159afxX\0\xff"sv;
  const std::vector<FramingCase> corpus = framing_corpus();
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = corpus[below(corpus.size())].bytes;
    if (bytes.size() > 1000) continue;
    for (std::size_t change = below(4); change > 0; --change) {
      const std::size_t at = below(bytes.size());
      if (below(3) == 0)
        bytes.erase(at, 1 + below(3));
      else
        bytes.insert(at, 1, spice[below(spice.size())]);
      if (bytes.empty()) break;
    }
    RequestParser parser({});
    feed(parser, bytes, 1 + below(8));
  }
}

TEST(RequestParser, GivesTheRequestAsItWasSent) {
  RequestParser parser({});
  ASSERT_EQ(feed(parser,
                 "POST /a%2Fb?x=1 HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;q=\"z\"\r\nc\r\n0\r\nContent-Type: evil\r\n\r\n",
                 3),
            State::kComplete);
  EXPECT_EQ(parser.persistence(), Persistence::kKeepAlive);
  const Request request = parser.take();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/a%2Fb?x=1");
  EXPECT_EQ(text_of(request.body), "abc");
  EXPECT_EQ(request.content_type, "text/plain") << "a trailer does not count";
  EXPECT_EQ(request.content_encoding, "gzip");
}

TEST(RequestParser, KeepsWhatWasSentBehindARequest) {
  RequestParser parser({});
  const std::string two = with("Content-Length: 1", "a") + with("Content-Length: 1", "b");
  ASSERT_EQ(feed(parser, two, two.size()), State::kComplete);
  EXPECT_EQ(text_of(parser.take().body), "a");
  ASSERT_EQ(parser.resume(), State::kComplete);
  EXPECT_EQ(text_of(parser.take().body), "b");
  EXPECT_EQ(parser.resume(), State::kIdle);
}

TEST(RequestParser, SaysOnceThatTheClientWaitsForContinue) {
  RequestParser parser({});
  ASSERT_EQ(feed(parser, with("Content-Length: 2\r\nExpect: 100-continue"), 100'000), State::kExpectsContinue);
  EXPECT_EQ(feed(parser, "a", 1), State::kInBody);
  EXPECT_EQ(feed(parser, "b", 1), State::kComplete);

  RequestParser impatient({});
  EXPECT_EQ(feed(impatient, with("Content-Length: 2\r\nExpect: 100-continue", "a"), 100'000), State::kInBody);
}

TEST(RequestParser, FollowsTheRulesOfPersistence) {
  const struct {
    const char* name;
    std::string bytes;
    Persistence expected;
  } cases[] = {
      {"1.1", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", Persistence::kKeepAlive},
      {"1.1 close", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", Persistence::kClose},
      {"1.1 close among others", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, keep-alive\r\n\r\n",
       Persistence::kClose},
      {"1.0", "GET / HTTP/1.0\r\n\r\n", Persistence::kClose},
      {"1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Persistence::kKeepAliveSaid},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.name);
    RequestParser parser({});
    ASSERT_EQ(feed(parser, one.bytes, 100), State::kComplete);
    EXPECT_EQ(parser.persistence(), one.expected);
  }
}

TEST(Serialize, WritesHeaderAndBodyAsOnePiece) {
  Response response{
      .status = 405, .content_type = "application/json", .allow = "GET", .retry_after_s = 1, .body = body_of("{}")};
  const auto text = [&](Persistence persistence, BodyUse use) {
    const SecretBytes bytes = serialize(response, persistence, use);
    return std::string(bytes.reveal().begin(), bytes.reveal().end());
  };
  EXPECT_EQ(text(Persistence::kClose, BodyUse::kSend),
            "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: application/json\r\nAllow: GET\r\nRetry-After: 1\r\n"
            "Connection: close\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_TRUE(text(Persistence::kKeepAlive, BodyUse::kOmit).ends_with("Content-Length: 2\r\n\r\n"));
  EXPECT_TRUE(text(Persistence::kKeepAliveSaid, BodyUse::kSend).contains("\r\nConnection: keep-alive\r\n"));
}

// An operator's passphrase comes as a body.
TEST(RequestParser, KeepsNoSecondCopyOfABody) {
  const std::string secret = "correct horse battery";
  const std::string requests[] = {
      with("Content-Length: 21", secret),
      with("Transfer-Encoding: chunked", "15\r\n" + secret + "\r\n0\r\n\r\n"),
      with("Content-Length: 21", secret) + with("X: y").substr(0, 20),
  };
  for (const std::string& request : requests) {
    for (const std::size_t piece : {1UL, 7UL, 1000UL}) {
      RequestParser parser({});
      const std::span<const std::uint8_t> buffer = parser.writable();  // all of it, while it is empty
      ASSERT_EQ(feed(parser, request, piece), State::kComplete);
      EXPECT_EQ(text_of(parser.take().body), secret);
      parser.resume();
      EXPECT_TRUE(std::ranges::search(buffer, std::string_view("horse")).empty()) << piece << "\n" << request;
    }
  }
}

}  // namespace
}  // namespace qkms::server::http
