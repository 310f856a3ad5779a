#include "api/etsi014/target.h"

#include <gtest/gtest.h>

#include <optional>

namespace qkms::api::etsi014 {
namespace {

using namespace std::string_literals;

std::string repeat(std::string_view part, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += part;
  return out;
}

TEST(Target, TellsTheThreeMethodsApart) {
  const std::pair<const char*, Operation> cases[] = {
      {"/api/v1/keys/SAE-B/status", Operation::kStatus},
      {"/api/v1/keys/SAE-B/enc_keys", Operation::kEncKeys},
      {"/api/v1/keys/SAE-B/dec_keys", Operation::kDecKeys},
  };
  for (const auto& [text, operation] : cases) {
    const Result<Target> target = parse_target(text);
    ASSERT_TRUE(target.has_value()) << text;
    EXPECT_EQ(target->operation, operation) << text;
    EXPECT_EQ(target->sae.str(), "SAE-B") << text;
    EXPECT_TRUE(target->query.empty()) << text;
  }
}

struct IdCase {
  const char* name;
  std::string raw;
  std::optional<std::string> id;  // absent: refused as invalid
};

TEST(Target, DecodesTheIdAfterSplitting) {
  const IdCase cases[] = {
      {"encoded slash", "a%2Fb", "a/b"},
      {"encoded backslash", "a%5cb", "a\\b"},
      {"encoded blank inside", "enc%201", "enc 1"},
      {"encoded percent, once only", "a%252Fb", "a%2Fb"},
      {"encoded question mark and hash", "a%3F%23", "a?#"},
      {"distinguished name", "CN=enc%201,O=X", "CN=enc 1,O=X"},
      {"URI", "urn:etsi:sae", "urn:etsi:sae"},
      {"plus is a plus", "a+b", "a+b"},
      {"path parameter", "SAE;x=1", "SAE;x=1"},
      {"name of a method", "enc_keys", "enc_keys"},
      {"name of another method", "status", "status"},
      {"dash", "-", "-"},
      {"underscore", "_", "_"},
      {"dots within", "a..b", "a..b"},
      {"three dots", "...", "..."},
      {"SQL", "'%3B%20DROP%20TABLE", "'; DROP TABLE"},
      {"markup", "%3Cimg%20onerror=1%3E", "<img onerror=1>"},
      {"64 characters", std::string(64, 'a'), std::string(64, 'a')},
      {"320 characters", std::string(320, 'a'), std::string(320, 'a')},
      {"320 encoded characters", repeat("%41", 320), std::string(320, 'A')},
      {"321 characters", std::string(321, 'a'), std::nullopt},
      {"8000 characters", std::string(8000, 'a'), std::nullopt},
      {"nothing", "", std::nullopt},
      {"dot", ".", std::nullopt},
      {"dots", "..", std::nullopt},
      {"encoded dots", "%2e%2E", std::nullopt},
      {"encoded NUL", "a%00b", std::nullopt},
      {"encoded line feed", "a%0Ab", std::nullopt},
      {"encoded DEL", "a%7fb", std::nullopt},
      {"blank in front", "%20a", std::nullopt},
      {"blank behind", "a%20", std::nullopt},
      {"overlong slash", "a%c0%afb", std::nullopt},
      {"no hexadecimal digits", "a%zz", std::nullopt},
      {"one digit", "a%2", std::nullopt},
      {"no digit", "a%", std::nullopt},
      {"sign for a digit", "a%+1", std::nullopt},
      {"raw blank", "a b", std::nullopt},
      {"raw backslash", "a\\b", std::nullopt},
      {"raw NUL", "a\0b"s, std::nullopt},
      {"raw line feed", "a\nb", std::nullopt},
      {"raw quote", "a\"b", std::nullopt},
      {"raw full-width asterisk", "\xef\xbc\x8a", std::nullopt},
      {"encoded full-width asterisk", "%EF%BC%8A", std::nullopt},
      {"right-to-left override", "a%E2%80%AEb", std::nullopt},
      {"e with a combining acute", "e%CC%81", std::nullopt},
      {"emoji", "%F0%9F%98%80", std::nullopt},
  };
  for (const auto& [name, raw, id] : cases) {
    const Result<Target> target = parse_target("/api/v1/keys/" + raw + "/enc_keys");
    EXPECT_EQ(target.has_value(), id.has_value()) << name;
    if (target) {
      EXPECT_EQ(target->sae.str(), id.value_or("")) << name;
      EXPECT_EQ(target->operation, Operation::kEncKeys) << name;
    } else {
      EXPECT_EQ(target.error().code, ErrorCode::kInvalid) << name;
    }
  }
}

TEST(Target, KnowsNoOtherPath) {
  const char* const cases[] = {
      "/",
      "//",
      "/api/v1/keys/A",
      "/api/v1/keys/A/",
      "/api/v1/keys/A/status/",
      "/api/v1/keys/A/status/x",
      "/api//v1/keys/A/status",
      "//api/v1/keys/A/status",
      "/API/V1/keys/A/status",
      "/api/v1/keys/A/STATUS",
      "/api/v1/keys/A/status%20",
      "/api/v2/keys/A/status",
      "/api/v1/keys/a/b/status",
      "/api/v1/keys/A%2Fstatus",
      "/api/v1/../v1/keys/A/status",
      "/../status",
      "/keys/A/status",
      "/api/v1/keys/A/status;x",
      "/metrics",
      "https://host/",
      "https://host/metrics?x=/api/v1/keys/A/status",
  };
  for (const char* text : cases) {
    const Result<Target> target = parse_target(text);
    ASSERT_FALSE(target.has_value()) << text;
    EXPECT_EQ(target.error().code, ErrorCode::kNotFound) << text;
  }
}

TEST(Target, TakesThePathOfTheAbsoluteForm) {
  for (const char* text : {"https://kme.example:8443/api/v1/keys/A/status?x=1", "http://evil/api/v1/keys/A/status?x=1",
                           "HTTPS://[::1]/api/v1/keys/A/status?x=1"}) {
    const Result<Target> target = parse_target(text);
    ASSERT_TRUE(target.has_value()) << text;
    EXPECT_EQ(target->sae.str(), "A") << text;
    EXPECT_EQ(target->query, (Parameters{{"x", "1"}})) << text;
  }
}

TEST(Target, RefusesWhatIsNoPath) {
  const std::string cases[] = {
      "",
      "*",
      "kme.example:443",
      "api/v1/keys/A/status",
      "?number=1",
      "https://host#/api/v1/keys/A/status",
      "https://ho st/api/v1/keys/A/status",
      "https:///api/v1/keys/A/status",
      "https://host",
      "https://host?/api/v1/keys/A/status",
      "https:/api/v1/keys/A/status",
      "ftp://host/api/v1/keys/A/status",
      "/api/v1/keys/A/status#frag",
      "/api/v1/keys/A/status?x=1#frag",
      "/api/v1/keys/A/status ",
      "/api/v1/keys/A/status\r\nHost: x",
      "/%zz",
  };
  for (const std::string& text : cases) {
    const Result<Target> target = parse_target(text);
    ASSERT_FALSE(target.has_value()) << text;
    EXPECT_EQ(target.error().code, ErrorCode::kInvalid) << text;
  }
}

struct QueryCase {
  const char* name;
  std::string raw;
  std::optional<Parameters> parameters;  // absent: refused as invalid
};

TEST(Target, DecodesTheQueryAndRefusesRepetitions) {
  const QueryCase cases[] = {
      {"nothing", "", Parameters{}},
      {"two", "number=3&size=1024", Parameters{{"number", "3"}, {"size", "1024"}}},
      {"encoded digits", "number=%31%30", Parameters{{"number", "10"}}},
      {"encoded name", "n%75mber=1", Parameters{{"number", "1"}}},
      {"plus is a plus", "number=+1", Parameters{{"number", "+1"}}},
      {"encoded blank", "number=%201", Parameters{{"number", " 1"}}},
      {"letter case counts", "Number=1&number=2", Parameters{{"Number", "1"}, {"number", "2"}}},
      {"no value", "key_ID=", Parameters{{"key_ID", ""}}},
      {"no equals sign", "key_ID", Parameters{{"key_ID", ""}}},
      {"equals sign in the value", "a=b=c", Parameters{{"a", "b=c"}}},
      {"encoded ampersand", "a=b%26c=d", Parameters{{"a", "b&c=d"}}},
      {"slash and question mark", "a=/?", Parameters{{"a", "/?"}}},
      {"empty parts", "&&a=1&", Parameters{{"a", "1"}}},
      {"encoded NUL", "a=%00", Parameters{{"a", "\0"s}}},
      {"same name twice", "number=1&number=9", std::nullopt},
      {"same name twice, same value", "number=1&number=1", std::nullopt},
      {"same name twice, once encoded", "number=1&n%75mber=9", std::nullopt},
      {"an unknown name twice", "x=1&y=2&x=3", std::nullopt},
      {"two key IDs", "key_ID=a&key_ID=b", std::nullopt},
      {"bad escape in a value", "a=%2", std::nullopt},
      {"bad escape in a name", "%g0=1", std::nullopt},
      {"raw blank", "number= 1", std::nullopt},
      {"raw quote", "number=\"1\"", std::nullopt},
  };
  for (const auto& [name, raw, parameters] : cases) {
    const Result<Target> target = parse_target("/api/v1/keys/A/enc_keys?" + raw);
    ASSERT_EQ(target.has_value(), parameters.has_value()) << name;
    if (target) {
      EXPECT_EQ(target->query, *parameters) << name;
    } else {
      EXPECT_EQ(target.error().code, ErrorCode::kInvalid) << name;
    }
  }
}

}  // namespace
}  // namespace qkms::api::etsi014
