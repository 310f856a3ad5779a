// What the benchmark's figures rest on: percentiles against a sorted list, answers and key IDs however the bytes are
// cut.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "bench/loadgen/histogram.h"
#include "bench/loadgen/key_ids.h"
#include "bench/loadgen/response_parser.h"

namespace qkms::bench {
namespace {

// Names a case of a table test after its `name`.
constexpr auto case_name = [](const auto& test) { return std::string(test.param.name); };

constexpr std::array kFractions{0.0, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0};

std::uint64_t exact_percentile(const std::vector<std::uint64_t>& sorted, double fraction) {
  const auto rank = static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

TEST(Histogram, StaysWithinOneSubBucketOfTheExactPercentile) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  std::lognormal_distribution<double> nanoseconds(std::log(80'000), 1.5);
  Histogram histogram;
  std::vector<std::uint64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(static_cast<std::uint64_t>(nanoseconds(random)));
    histogram.add(values.back());
  }
  std::ranges::sort(values);
  for (const double fraction : kFractions) {
    const std::uint64_t exact = exact_percentile(values, fraction);
    EXPECT_GE(histogram.percentile_ns(fraction), exact) << fraction;
    EXPECT_LE(histogram.percentile_ns(fraction), exact + exact / Histogram::kSubBuckets) << fraction;
  }
  EXPECT_EQ(histogram.max_ns(), values.back());
  EXPECT_EQ(histogram.count(), values.size());
}

TEST(Histogram, IsExactForSmallValues) {
  Histogram histogram;
  for (std::uint64_t value = 1; value <= 201; ++value) histogram.add(value);
  EXPECT_EQ(histogram.percentile_ns(0.5), 101);
  EXPECT_EQ(histogram.percentile_ns(0.99), 199);
  EXPECT_EQ(histogram.percentile_ns(1.0), 201);
  EXPECT_DOUBLE_EQ(histogram.mean_ns(), 101);
}

TEST(Histogram, HoldsTheEdgesOfItsBuckets) {
  for (unsigned bits = 0; bits < Histogram::kMaxValueBits; ++bits) {
    for (const std::uint64_t value : {(1ULL << bits) - 1, 1ULL << bits, (1ULL << bits) + 1}) {
      Histogram histogram;
      histogram.add(value);
      histogram.add(Histogram::kMaxValue);
      const std::uint64_t shown = histogram.percentile_ns(0.5);
      EXPECT_GE(shown, value);
      EXPECT_LE(shown, value + value / Histogram::kSubBuckets);
    }
  }
}

TEST(Histogram, CountsWhatIsTooLargeAsTheLargest) {
  Histogram histogram;
  histogram.add(~0ULL);
  EXPECT_EQ(histogram.percentile_ns(0.5), Histogram::kMaxValue);
}

TEST(Histogram, MergesAsIfAllHadBeenAddedToOne) {
  Histogram odd, even, all;
  for (std::uint64_t i = 0; i < 5'000; ++i) {
    (i % 2 == 0 ? even : odd).add(i * i);
    all.add(i * i);
  }
  odd.merge(even);
  for (const double fraction : kFractions)
    EXPECT_EQ(odd.percentile_ns(fraction), all.percentile_ns(fraction)) << fraction;
  EXPECT_EQ(odd.count(), all.count());
  EXPECT_DOUBLE_EQ(odd.mean_ns(), all.mean_ns());
}

TEST(Histogram, ShowsNothingWhenEmpty) {
  EXPECT_EQ(Histogram().percentile_ns(0.99), 0);
  EXPECT_EQ(Histogram().mean_ns(), 0);
}

struct Parsed {
  ResponseParser parser;
  std::string body;
  std::string rest;
};

Parsed parse(const std::vector<std::string_view>& pieces) {
  Parsed parsed;
  for (const std::string_view piece : pieces) {
    if (parsed.parser.done() || parsed.parser.bad()) {
      parsed.rest += piece;
      continue;
    }
    const auto fed = parsed.parser.feed(piece);
    parsed.body += fed.body;
    parsed.rest += piece.substr(fed.consumed);
  }
  return parsed;
}

struct GoodAnswer {
  const char* name;
  std::string text;
  int status;
  std::string body;
  bool keeps_connection;
};

const std::vector<GoodAnswer> kGoodAnswers{
    {"Plain", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true},
    {"NoReason", "HTTP/1.1 503\r\ncontent-length:2\r\n\r\n{}", 503, "{}", true},
    {"EmptyBody", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401, "", true},
    {"NoContent", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
    {"Closes", "HTTP/1.1 400 Bad\r\nConnection: Close\r\nCONTENT-LENGTH: \t3 \r\n\r\nabc", 400, "abc", false},
    {"OldVersion", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", false},
    {"AfterContinue", "HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok",
     true},
    {"BodyLikeAHead", "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 19\r\n\r\nHTTP/1.1 500 No\r\n\r\n", 200,
     "HTTP/1.1 500 No\r\n\r\n", true},
};

class GoodAnswers : public testing::TestWithParam<GoodAnswer> {};

TEST_P(GoodAnswers, AreReadTheSameHoweverTheyAreCut) {
  const GoodAnswer& good = GetParam();
  const std::string text = good.text + "HTTP/1.1 next";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    const Parsed parsed = parse({std::string_view(text).substr(0, cut), std::string_view(text).substr(cut)});
    ASSERT_TRUE(parsed.parser.done()) << "cut at " << cut;
    EXPECT_EQ(parsed.parser.status(), good.status) << "cut at " << cut;
    EXPECT_EQ(parsed.body, good.body) << "cut at " << cut;
    EXPECT_EQ(parsed.parser.body_bytes(), good.body.size()) << "cut at " << cut;
    EXPECT_EQ(parsed.parser.keeps_connection(), good.keeps_connection) << "cut at " << cut;
    EXPECT_EQ(parsed.rest, "HTTP/1.1 next") << "cut at " << cut;
  }
}

TEST_P(GoodAnswers, AreReadByteByByteAndNotDoneBeforeTheLast) {
  const GoodAnswer& good = GetParam();
  ResponseParser parser;
  std::string body;
  for (const char& c : good.text) {
    ASSERT_FALSE(parser.done());
    const auto fed = parser.feed({&c, 1});
    ASSERT_EQ(fed.consumed, 1);
    body += fed.body;
  }
  EXPECT_TRUE(parser.done());
  EXPECT_EQ(parser.status(), good.status);
  EXPECT_EQ(body, good.body);
}

INSTANTIATE_TEST_SUITE_P(ResponseParser, GoodAnswers, testing::ValuesIn(kGoodAnswers), case_name);

struct BadAnswer {
  const char* name;
  std::string text;
};

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  while (times-- > 0) all += text;
  return all;
}

class BadAnswers : public testing::TestWithParam<BadAnswer> {};

TEST_P(BadAnswers, AreBadHoweverTheyAreCut) {
  const std::string_view text = GetParam().text;
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_TRUE(parse({text.substr(0, cut), text.substr(cut)}).parser.bad()) << "cut at " << cut;
  }
}

INSTANTIATE_TEST_SUITE_P(
    ResponseParser, BadAnswers,
    testing::Values(BadAnswer{"NotHttp", "SSH-2.0-OpenSSH_9.2\r\n"}, BadAnswer{"BadCode", "HTTP/1.1 2x0 OK\r\n"},
                    BadAnswer{"CodeOutOfRange", "HTTP/1.1 600 OK\r\n"}, BadAnswer{"LongCode", "HTTP/1.1 2000 OK\r\n"},
                    BadAnswer{"NoLength", "HTTP/1.1 200 OK\r\n\r\n"},
                    BadAnswer{"LengthNotANumber", "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n"},
                    BadAnswer{"NegativeLength", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n"},
                    BadAnswer{"TwoLengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n"},
                    BadAnswer{"Chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"},
                    BadAnswer{"BareNewline", "HTTP/1.1 200 OK\nContent-Length: 1\n\nx"},
                    BadAnswer{"HeaderWithoutColon", "HTTP/1.1 200 OK\r\nwhat\r\n"},
                    BadAnswer{"EndlessHeaders",
                              "HTTP/1.1 200 OK\r\n" + repeated("a: b\r\n", ResponseParser::kMaxHeaderLines + 1)},
                    BadAnswer{"EndlessLine", "HTTP/1.1 200 " + std::string(ResponseParser::kMaxLineBytes, 'x')}),
    case_name);

TEST(ResponseParser, IsFitForTheNextAnswerAfterAReset) {
  ResponseParser parser;
  parser.feed("HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx");
  parser.reset();
  parser.feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(parser.done());
  EXPECT_EQ(parser.status(), 200);
  EXPECT_TRUE(parser.keeps_connection());
}

const std::string kFirstId = "bc490419-7d60-487f-adc1-4ddcc177c139", kSecondId = "0a782fb5-3434-48fe-aa4d-14f41d46cf92";

std::vector<std::string> scan(const std::vector<std::string_view>& pieces) {
  KeyIdScanner scanner;
  std::vector<KeyIdText> ids;
  for (const std::string_view piece : pieces) scanner.feed(piece, ids);
  std::vector<std::string> texts;
  for (const KeyIdText& id : ids) texts.emplace_back(id.data(), id.size());
  return texts;
}

TEST(KeyIdScanner, FindsAllIdsHoweverTheBodyIsCut) {
  const std::string body = R"({"keys":[{"key_ID":")" + kFirstId +
                           R"(","key":"wHHVxRwDJs3/bXd38GHP3oe4svTuRpZS0yCC7x4Ly+s="},{"key":"AA=="," )" +
                           R"("key_ID" : ")" + kSecondId + R"("}],"key_ID_extension":1})";
  for (std::size_t first = 0; first <= body.size(); ++first) {
    for (std::size_t second = first; second <= std::min(body.size(), first + 12); ++second) {
      const std::string_view text = body;
      EXPECT_THAT(scan({text.substr(0, first), text.substr(first, second - first), text.substr(second)}),
                  testing::ElementsAre(kFirstId, kSecondId))
          << "cut at " << first << " and " << second;
    }
  }
}

TEST(KeyIdScanner, PassesOverWhatOnlyLooksLikeAnId) {
  EXPECT_THAT(scan({R"({"key_IDs":[],"key_ID":7,"key_ID":"not a UUID but thirty-six characters","key_ID")"}),
              testing::IsEmpty());
}

TEST(KeyIdSource, HandsOutWholeGroupsInOrderAndThenNothing) {
  std::vector<KeyIdText> ids(7);
  for (std::uint8_t i = 0; i < ids.size(); ++i) ids[i].fill(static_cast<char>('a' + i));
  KeyIdSource source(ids, 3);
  EXPECT_THAT(*source.next(), testing::ElementsAre(ids[0], ids[1], ids[2]));
  EXPECT_THAT(*source.next(), testing::ElementsAre(ids[3], ids[4], ids[5]));
  EXPECT_FALSE(source.next());
}

}  // namespace
}  // namespace qkms::bench
