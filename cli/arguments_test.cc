#include "cli/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace qkms::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const ArgumentSpec kSpec = {{{"--out", "DIR", Given::kOnce, "Where."},
                             {"--level", "N", Given::kAtMostOnce, "How much."},
                             {"--name", "ID", Given::kAnyTimes, "Who."},
                             {"--list", "", Given::kAtMostOnce, "Only say what there is."}},
                            {"FILE"}};

TEST(Arguments, AreReadInEitherForm) {
  const std::vector<std::string> words = {"--out", "d", "--name=a", "--name", "b=c", "--name=", "--", "--file"};
  const auto read = parse_arguments(kSpec, words);
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(read->one("--out"), "d");
  EXPECT_THAT(read->all("--name"), ElementsAre("a", "b=c", ""));
  EXPECT_FALSE(read->has("--level"));
  EXPECT_THAT(read->positional, ElementsAre("--file"));
}

TEST(Arguments, AreRefusedWithAReason) {
  struct Case {
    std::vector<std::string> words;
    const char* expected;
  };
  const Case cases[] = {
      {{"f"}, "--out DIR is missing"},
      {{"--out", "d"}, "FILE is missing"},
      {{"--out", "d", "f", "g"}, "unexpected \"g\""},
      {{"--out", "d", "--out", "e", "f"}, "--out is given twice"},
      {{"--out", "d", "--what", "f"}, "unknown option --what"},
      {{"--out", "d", "-x", "f"}, "unknown option -x"},
      {{"f", "--out"}, "--out needs DIR"},
      {{"--out", "d", "--list=x", "f"}, "--list takes no value"},
      {{"--\x1b[1m=x"}, "unknown option --\\x1b[1m"},
  };
  for (const auto& c : cases) {
    const auto read = parse_arguments(kSpec, c.words);
    ASSERT_FALSE(read) << c.expected;
    EXPECT_THAT(read.error().text, HasSubstr(c.expected));
  }
}

TEST(Arguments, MayHaveNoValue) {
  const std::vector<std::string> words = {"--list", "f", "--out", "d"};
  const auto read = parse_arguments(kSpec, words);
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_TRUE(read->has("--list"));
  EXPECT_THAT(read->positional, ElementsAre("f"));
}

}  // namespace
}  // namespace qkms::cli
