#include "cli/conformance/body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "cli/conformance/reply.h"

namespace qkms::cli::conformance {
namespace {

using testing::HasSubstr;
using testing::Not;

SecretBytes secret(std::string_view text) {
  return SecretBytes::copy_of({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}
std::string text_of(const SecretBytes& bytes) { return {bytes.reveal().begin(), bytes.reveal().end()}; }

TEST(Redaction, LeavesNoStringOfAnAnswerWithKeysButTheKeyIds) {
  struct Case {
    const char* name;
    const char* body;
    const char* expected;
  };
  const Case cases[] = {
      {"as it should be", R"({"keys":[{"key_ID":"id","key":"QUJD"}]})", R"({"keys":[{"key_ID":"id","key":"#0"}]})"},
      {"blanks", "{\"keys\" : [ {\"key\" :\n \"QUJD\" } ] }", "{\"keys\" : [ {\"key\" :\n \"#0\" } ] }"},
      {"blanks in front", "\n {\"key\":\"QUJD\"}", "\n {\"key\":\"#0\"}"},
      {"another name", R"({"keys":[{"Key":"QUJD"}]})", R"({"keys":[{"Key":"#0"}]})"},
      {"in an extension", R"({"key_container_extension":{"x":"QUJD"}})", R"({"key_container_extension":{"x":"#0"}})"},
      {"in an array", R"({"keys":["QUJD",["QUJE"]]})", R"({"keys":["#0",["#1"]]})"},
      {"a name with an escape", R"({"k\u0065y_ID":"QUJD"})", R"({"k\u0065y_ID":"#0"})"},
      {"a value that looks like a name", R"({"key":"QUJD":"QUJE"})", R"({"key":"#0":"#1"})"},
      {"cut in a key", R"({"keys":[{"key":"QUJ)", R"({"keys":[{"key":"#0")"},
      {"cut behind a backslash", R"({"key":"QUJ\)", R"({"key":"#0")"},
      {"no object", R"("QUJD")", ""},
  };
  for (const auto& c : cases) {
    const Redacted redacted = redact(c.body, Carries::kKeys);
    EXPECT_EQ(redacted.text, c.expected) << c.name;
    EXPECT_THAT(redacted.text, Not(HasSubstr("QUJ"))) << c.name;
  }
}

TEST(Redaction, LeavesAnErrorReadableButForAKeyInIt) {
  const Redacted redacted = redact(R"({"message":"no","key":"QUJD","details":[{"a":"b"}]})", Carries::kNoKeys);
  EXPECT_EQ(redacted.text, R"({"message":"no","key":"#0","details":[{"a":"b"}]})");
  ASSERT_EQ(redacted.secrets.size(), 1);
  EXPECT_EQ(text_of(redacted.secrets[0]), "QUJD");
}

TEST(Redaction, ResolvesTheEscapeThatBase64MayHave) {
  const Redacted redacted = redact(R"({"key":"a\/b\\\""})", Carries::kKeys);
  ASSERT_EQ(redacted.secrets.size(), 1);
  EXPECT_EQ(text_of(redacted.secrets[0]), R"(a/b\\\")");
}

TEST(Base64, IsDecodedWithPaddingAndNothingElse) {
  struct Case {
    const char* text;
    const char* bytes;  // null: refused
  };
  // RFC 4648 §10, and what is near it.
  const Case cases[] = {{"", ""},          {"Zg==", "f"},        {"Zm8=", "fo"},
                        {"Zm9v", "foo"},   {"Zm9vYg==", "foob"}, {"+/+/", "\xfb\xff\xbf"},
                        {"Zg", nullptr},   {"Zg=", nullptr},     {"Z===", nullptr},
                        {"====", nullptr}, {"Zm9-", nullptr},    {"Zm9v\n", nullptr},
                        {"Zm=v", nullptr}, {"=m9v", nullptr}};
  for (const auto& c : cases) {
    const auto decoded = decode_base64(secret(c.text));
    ASSERT_EQ(decoded.has_value(), c.bytes != nullptr) << c.text;
    if (decoded) {
      EXPECT_EQ(text_of(*decoded), c.bytes) << c.text;
    }
  }
}

HttpAnswer answer_200(std::string_view body) {
  HttpAnswer out;
  out.status = 200;
  out.headers = {{"content-type", "application/json"}};
  out.body = secret(body);
  return out;
}

TEST(AReply, ShowsWhatCameWithoutTheKeys) {
  const Reply reply =
      reply_of(answer_200(R"({"keys":[{"key_ID":"5ca1ab1e-0000-4000-8000-00000000dead","key":"QUJDREVGR0g="}]})"),
               Carries::kKeys);
  EXPECT_EQ(reply.summary(), "200 application/json: 1 key of 64 bits, base64 valid, key_ID a UUID");
  ASSERT_EQ(reply.got().size(), 1);
  EXPECT_EQ(text_of(*reply.got()[0].bits), "ABCDEFGH");
}

TEST(AReply, SaysWhatIsWrongWithAContainer) {
  struct Case {
    const char* body;
    const char* expected;
  };
  const Case cases[] = {
      {"", "no key container: not acceptable JSON"},
      {"[]", "no key container: not acceptable JSON"},  // its text is not kept
      {"{}", "there is no array \"keys\""},
      {R"({"keys":{}})", "there is no array \"keys\""},
      {R"({"keys":[1]})", "an element of \"keys\" is no object"},
      {R"({"keys":[]})", "no keys"},
      {R"({"keys":[{}]})", "1 key of no base64, key_ID not a UUID"},
      {R"({"keys":[{"key":7,"key_ID":{}}]})", "1 key of no base64, key_ID not a UUID"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(reply_of(answer_200(c.body), Carries::kKeys).summary(), HasSubstr(c.expected)) << c.body;
  }
}

TEST(AReply, IsMadeOfAnyBytes) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  constexpr std::string_view kPieces[] = {"\"", "{",  "}",    "[",      "]",   ":",    ",",        "\\",
                                          "#0", "#9", "keys", "key_ID", "key", "QUJD", "\"key\":", "\x80"};
  for (int round = 0; round < 20'000; ++round) {
    std::string body = "{";
    for (std::size_t i = random() % 24; i > 0; --i) body += kPieces[random() % std::size(kPieces)];
    const Reply reply = reply_of(answer_200(body), Carries::kKeys);
    EXPECT_THAT(reply.summary(), Not(HasSubstr("QUJD"))) << body;
    EXPECT_FALSE(reply_of(answer_200(body), Carries::kNoKeys).summary().empty());
  }
}

TEST(ARequest, HasItsIdsEncoded) {
  EXPECT_EQ(key_ids_body({"a", "b"}), R"({"key_IDs":[{"key_ID":"a"},{"key_ID":"b"}]})");
  EXPECT_EQ(key_ids_body({}), R"({"key_IDs":[]})");
}

}  // namespace
}  // namespace qkms::cli::conformance
