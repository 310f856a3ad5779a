#include "api/http_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace qkms::api {
namespace {

using testing::HasSubstr;

Result<std::optional<HttpAnswer>> read(std::string_view text, Stream stream) {
  SecretBuffer buffer;
  if (!text.empty()) std::memcpy(buffer.room(text.size()).data(), text.data(), text.size());
  buffer.grow(text.size());
  return read_answer(buffer, stream);
}

std::string body_of(const HttpAnswer& answer) { return {answer.body.reveal().begin(), answer.body.reveal().end()}; }

struct GoodAnswer {
  const char* name;
  std::string text;
  int status;
  const char* body;
  BodyEnd body_end;
  bool keeps_connection;
};

class GoodAnswers : public testing::TestWithParam<GoodAnswer> {};

TEST_P(GoodAnswers, AreReadOnceTheyAreWhole) {
  const GoodAnswer& good = GetParam();
  const bool needs_close = good.body_end == BodyEnd::kClose;
  for (std::size_t cut = 0; cut < good.text.size(); ++cut) {
    const auto part = read(std::string_view(good.text).substr(0, cut), Stream::kOpen);
    ASSERT_TRUE(part) << part.error().text << " cut at " << cut;
    EXPECT_FALSE(*part) << "cut at " << cut;
  }
  const auto whole = read(good.text, needs_close ? Stream::kClosed : Stream::kOpen);
  ASSERT_TRUE(whole && *whole);
  EXPECT_EQ((*whole)->status, good.status);
  EXPECT_EQ(body_of(**whole), good.body);
  EXPECT_EQ((*whole)->body_end, good.body_end);
  EXPECT_EQ((*whole)->bytes, good.text.size());
  if (!needs_close) {
    EXPECT_EQ((*read(good.text + "HTTP/1.1 200", Stream::kOpen))->bytes, good.text.size()) << "more behind it";
  }
  EXPECT_EQ((*whole)->keeps_connection, good.keeps_connection);
}

INSTANTIATE_TEST_SUITE_P(
    HttpAnswer, GoodAnswers,
    testing::Values(
        GoodAnswer{"Plain", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", BodyEnd::kContentLength, true},
        GoodAnswer{"NoBody", "HTTP/1.1 401\r\ncontent-length:0\r\n\r\n", 401, "", BodyEnd::kContentLength, true},
        GoodAnswer{"Closes", "HTTP/1.1 400 No\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx", 400, "x",
                   BodyEnd::kContentLength, false},
        GoodAnswer{"AfterContinue", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny", 200,
                   "y", BodyEnd::kContentLength, true},
        GoodAnswer{"Chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
                   200, "abc", BodyEnd::kChunks, true},
        GoodAnswer{"Trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\nA: b\r\n\r\n", 200,
                   "c", BodyEnd::kChunks, true},
        GoodAnswer{"UntilClose", "HTTP/1.0 200 OK\r\nA: b\r\n\r\n", 200, "", BodyEnd::kClose, false}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(HttpAnswer, SaysWhatIsWrong) {
  struct Case {
    std::string text;
    const char* expected;
  };
  const Case cases[] = {
      {"SSH-2.0-x\r\n\r\n", "no status line"},
      {"HTTP/2 200\r\n\r\n", "no status line"},
      {"HTTP/1.1 2x0 OK\r\n\r\n", "no status line"},
      {"HTTP/1.1 200 OK\r\nwhat\r\n\r\n", "a header without a colon"},
      {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "its Content-Length"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "its Content-Length"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "a chunk without a size"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "a chunk does not end"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nab", "closed before its end"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "closed before its end"},
      {"", "closed before its end"},
      {"HTTP/1.1 200 OK\r\nA: " + std::string(kMaxHeadBytes, 'x'), "its head is too large"},
      {std::string(kMaxAnswerBytes + 1, 'x'), "it is too large"},
  };
  for (const auto& c : cases) {
    const auto answer = read(c.text, Stream::kClosed);
    ASSERT_FALSE(answer) << c.expected;
    EXPECT_THAT(answer.error().text, HasSubstr(c.expected));
  }
}

TEST(HttpAnswer, ComesToAnEndForAnyBytes) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  constexpr std::string_view kPieces[] = {"HTTP/1.1 200 OK\r\n",
                                          "HTTP/1.1 100 C\r\n",
                                          "\r\n",
                                          "\r",
                                          "\n",
                                          ":",
                                          "Content-Length: 3\r\n",
                                          "Transfer-Encoding: chunked\r\n",
                                          "0\r\n",
                                          "a",
                                          "f\r\n",
                                          "\xff",
                                          ";"};
  for (int round = 0; round < 20'000; ++round) {
    std::string text = random() % 2 == 0 ? "" : "HTTP/1.1 200 OK\r\n";
    for (std::size_t i = random() % 12; i > 0; --i) text += kPieces[random() % std::size(kPieces)];
    const auto closed = read(text, Stream::kClosed);
    EXPECT_TRUE(!closed || *closed) << text;  // with the connection gone there is nothing more to wait for
    (void)read(text, Stream::kOpen);
  }
}

}  // namespace
}  // namespace qkms::api
