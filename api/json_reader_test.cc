#include "api/json_reader.h"

#include <gtest/gtest.h>

#include <limits>

namespace qkms::api {
namespace {

using namespace std::string_literals;

std::string repeat(std::string_view part, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += part;
  return out;
}

struct TextCase {
  const char* name;
  std::string text;
};

TEST(JsonReader, RefusesWhatIsNotStrictJson) {
  const TextCase cases[] = {
      {"nothing", ""},
      {"a blank", " "},
      {"two values", "{} {}"},
      {"garbage behind", "{}x"},
      {"NUL behind", "{}\0"s},
      {"byte order mark", "\xef\xbb\xbf{}"},
      {"UTF-16 LE", "{\0}\0"s},
      {"UTF-16 with mark", "\xff\xfe{\0}\0"s},
      {"open object", "{"},
      {"open object after a member", R"({"a":1)"},
      {"open object after a comma", R"({"a":1,)"},
      {"open array", "[1"},
      {"open string", R"("abc)"},
      {"string ends in an escape", "\"abc\\"},
      {"trailing comma in an object", R"({"a":1,})"},
      {"trailing comma in an array", "[1,]"},
      {"leading comma", "[,1]"},
      {"missing colon", R"({"a" 1})"},
      {"missing value", R"({"a":})"},
      {"unquoted name", "{a:1}"},
      {"number as a name", "{1:1}"},
      {"single quotes", "{'a':1}"},
      {"brackets crossed", "[{]}"},
      {"line comment", "{} // no"},
      {"block comment", "/* no */ {}"},
      {"NaN", "NaN"},
      {"Infinity", "Infinity"},
      {"negative Infinity", "-Infinity"},
      {"half a word", "tru"},
      {"upper case word", "TRUE"},
      {"word run on", "truefalse"},
      {"form feed as a blank", "\f{}"},
      {"no-break space as a blank", "\xc2\xa0{}"},
  };
  for (const auto& [name, text] : cases) {
    const Result<JsonValue> value = read_json(text);
    ASSERT_FALSE(value.has_value()) << name;
    EXPECT_EQ(value.error().code, ErrorCode::kInvalid) << name;
  }
}

TEST(JsonReader, RefusesStringsThatTwoReadersMightReadDifferently) {
  const TextCase cases[] = {
      {"raw control character", "\"a\nb\""},
      {"raw NUL", "\"a\0b\""s},
      {"escaped NUL", R"("a\u0000b")"},
      {"high surrogate alone", R"("\ud800")"},
      {"high surrogate before a letter", R"("\ud800x")"},
      {"two high surrogates", R"("\ud800\ud800")"},
      {"high surrogate before another escape", R"("\ud800\n")"},
      {"low surrogate alone", R"("\udc00")"},
      {"surrogate in raw UTF-8", "\"\xed\xa0\x80\""},
      {"overlong slash", "\"\xc0\xaf\""},
      {"overlong in three bytes", "\"\xe0\x80\xaf\""},
      {"overlong in four bytes", "\"\xf0\x80\x80\xaf\""},
      {"above U+10FFFF", "\"\xf4\x90\x80\x80\""},
      {"lone continuation byte", "\"\x80\""},
      {"cut off character", "\"\xe2\x82\""},
      {"byte FF", "\"\xff\""},
      {"unknown escape", R"("\x41")"},
      {"three digits", R"("\u004")"},
      {"three digits at the end", R"("\u004)"},
      {"no digits", R"("\u00g0")"},
  };
  for (const auto& [name, text] : cases) EXPECT_FALSE(read_json(text).has_value()) << name;
}

TEST(JsonReader, DecodesStrings) {
  const std::pair<std::string, std::string> cases[] = {
      {R"("")", ""},
      {R"("\"\\\/\b\f\n\r\t")", "\"\\/\b\f\n\r\t"},
      {R"("\u0041\u00e9\u20AC\ud83d\ude00")", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
      {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f"},
  };
  for (const auto& [text, meaning] : cases) {
    const Result<JsonValue> value = read_json(text);
    ASSERT_TRUE(value.has_value()) << text << ": " << value.error().text;
    ASSERT_NE(value->get<std::string>(), nullptr) << text;
    EXPECT_EQ(*value->get<std::string>(), meaning) << text;
  }
}

TEST(JsonReader, TellsPlainIntegersFromOtherNumbers) {
  const std::pair<const char*, std::int64_t> integers[] = {
      {"0", 0},
      {"-1", -1},
      {" 42 ", 42},
      {"2147483648", 2147483648},
      {"9007199254740993", 9007199254740993},
      {"9223372036854775807", std::numeric_limits<std::int64_t>::max()},
      {"-9223372036854775808", std::numeric_limits<std::int64_t>::min()},
  };
  for (const auto& [text, number] : integers) {
    const Result<JsonValue> value = read_json(text);
    ASSERT_TRUE(value.has_value()) << text;
    ASSERT_NE(value->get<std::int64_t>(), nullptr) << text;
    EXPECT_EQ(*value->get<std::int64_t>(), number);
  }
  const std::string others[] = {"1.0",
                                "1e2",
                                "1E+2",
                                "1e-2",
                                "-0",
                                "-0.0",
                                "0e0",
                                "1e400",
                                "9223372036854775808",
                                "-9223372036854775809",
                                "18446744073709551616",
                                std::string(5000, '9')};
  for (const std::string& text : others) {
    const Result<JsonValue> value = read_json(text);
    ASSERT_TRUE(value.has_value()) << text;
    EXPECT_NE(value->get<JsonOtherNumber>(), nullptr) << text;
  }
  for (const char* text : {"01", "00", "-", "+1", ".5", "1.", "1.e2", "1e", "1e+", "-01", "0x10", "1_000"}) {
    EXPECT_FALSE(read_json(text).has_value()) << text;
  }
}

TEST(JsonReader, RefusesTwoMembersOfOneName) {
  EXPECT_FALSE(read_json(R"({"number":1,"number":1})").has_value());
  EXPECT_FALSE(read_json(R"({"number":1,"x":2,"n\u0075mber":1})").has_value());
  EXPECT_FALSE(read_json(R"([{"a":{"b":1,"b":2}}])").has_value());
  EXPECT_TRUE(read_json(R"({"number":1,"Number":1})").has_value());
  EXPECT_TRUE(read_json(R"([{"a":1},{"a":1}])").has_value());
}

TEST(JsonReader, BoundsDepthAndNumberOfValues) {
  EXPECT_TRUE(read_json(repeat("[", 16) + repeat("]", 16)).has_value());
  EXPECT_FALSE(read_json(repeat("[", 17) + repeat("]", 17)).has_value());
  EXPECT_TRUE(read_json(repeat(R"({"a":)", 16) + "1" + repeat("}", 16)).has_value());
  EXPECT_FALSE(read_json(repeat(R"({"a":)", 17) + "1" + repeat("}", 17)).has_value());
  EXPECT_FALSE(read_json(std::string(100'000, '[')).has_value());
  EXPECT_FALSE(read_json(repeat(R"({"a":)", 100'000)).has_value());

  const JsonLimits limits{.max_depth = 2, .max_values = 4};
  EXPECT_TRUE(read_json("[1,2,3]", limits).has_value());
  EXPECT_FALSE(read_json("[1,2,3,4]", limits).has_value());
  EXPECT_FALSE(read_json(R"({"a":1,"b":2,"c":3,"d":4})", limits).has_value());
}

// Would take seconds if looking for repetitions were quadratic, or if the bound came too late.
TEST(JsonReader, StopsEarlyAtAFlood) {
  std::string members = "{\"a\":0";
  for (int i = 0; i < 200'000; ++i) members += ",\"" + std::to_string(i) + "\":0";
  const Result<JsonValue> value = read_json(members + "}");
  ASSERT_FALSE(value.has_value());
  EXPECT_NE(value.error().text.find("too many values"), std::string::npos) << value.error().text;
}

TEST(JsonReader, FindsMembersAndTakesNullAsAbsent) {
  const Result<JsonValue> value = read_json(R"({"a":[true,false,null,"s"],"b":null,"c":{}})");
  ASSERT_TRUE(value.has_value());
  const auto* object = value->get<JsonObject>();
  ASSERT_NE(object, nullptr);
  ASSERT_NE(find_member(*object, "a"), nullptr);
  const auto* array = find_member(*object, "a")->get<JsonArray>();
  ASSERT_NE(array, nullptr);
  ASSERT_EQ(array->size(), 4U);
  EXPECT_EQ(*(*array)[0].get<bool>(), true);
  EXPECT_EQ(*(*array)[1].get<bool>(), false);
  EXPECT_NE((*array)[2].get<std::nullptr_t>(), nullptr);
  EXPECT_EQ(*(*array)[3].get<std::string>(), "s");
  EXPECT_EQ(find_member(*object, "b"), nullptr);
  EXPECT_NE(find_member(*object, "c"), nullptr);
  EXPECT_EQ(find_member(*object, "d"), nullptr);
}

TEST(JsonReader, SaysWhereItStopped) {
  EXPECT_EQ(read_json(R"({"number":01})").error().text, "not acceptable JSON: a number with a leading zero (byte 11)");
  EXPECT_EQ(read_json("[1 2]").error().text, "not acceptable JSON: a comma or a closing bracket is expected (byte 3)");
}

TEST(JsonReader, LeavesSecretsWhereTheyAre) {
  const std::string text = R"({"keys":[{"key":"a\/b","x":"c"},{"k\u0065y":"d"},{"key":1}],"key":"\u00e9"})";
  const auto value = read_json(text, {}, "key");
  ASSERT_TRUE(value) << value.error().text;
  const auto& object = *value->get<JsonObject>();
  const auto& keys = *object[0].value.get<JsonArray>();
  const auto inner = [](const JsonValue& owner) {
    const auto* place = find_member(*owner.get<JsonObject>(), "key")->get<JsonInPlace>();
    return place == nullptr ? "copied" : place->inner;
  };
  EXPECT_EQ(inner(keys[0]), R"(a\/b)");
  EXPECT_EQ(inner(keys[0]).data(), text.data() + text.find("a\\/b"));
  EXPECT_EQ(inner(keys[1]), "d") << "the name decides, however it is written";
  EXPECT_EQ(inner(keys[2]), "copied") << "no string";
  EXPECT_EQ(inner(*value), R"(\u00e9)");
  EXPECT_NE((*keys[0].get<JsonObject>())[1].value.get<std::string>(), nullptr);
  for (const char* bad : {R"({"key":"a)", R"({"key":"\x"})", "{\"key\":\"\x80\"}", R"({"key":"\ud800"})"})
    EXPECT_FALSE(read_json(bad, {}, "key")) << bad;
  EXPECT_FALSE(read_json(R"({"key":"a"})", {.max_values = 1}, "key"));
}

}  // namespace
}  // namespace qkms::api
