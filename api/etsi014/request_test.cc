#include "api/etsi014/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/etsi014/messages.h"

namespace qkms::api::etsi014 {
namespace {

using ::testing::HasSubstr;

constexpr const char* kUuidA = "0189b6c2-5a1e-4f3d-8c7b-001122334455";
constexpr const char* kUuidAUpper = "0189B6C2-5A1E-4F3D-8C7B-001122334455";
constexpr const char* kUuidB = "ffffffff-ffff-4fff-bfff-ffffffffffff";

std::string key_ids(std::initializer_list<const char*> ids) {
  std::string json = R"({"key_IDs":[)";
  for (const char* id : ids) json += (json.back() == '[' ? "" : ",") + std::string(R"({"key_ID":")") + id + "\"}";
  return json + "]}";
}

std::vector<std::string> texts(const std::vector<SaeId>& ids) {
  std::vector<std::string> out;
  for (const SaeId& id : ids) out.push_back(id.str());
  return out;
}

// --- Get key, POST
// -----------------------------------------------------------------------------------------------------------------

TEST(KeyRequestBody, ReadsEveryMember) {
  const Result<KeyRequestBody> body = parse_key_request_body(
      R"({"number":3,"size":1024,"additional_slave_SAE_IDs":["SAE-C","CN=x, O=y"],"extension_mandatory":[],
          "extension_optional":[{"acme_route":{"via":[1,2]}}],"vendor":"ignored"})");
  ASSERT_TRUE(body.has_value()) << body.error().text;
  EXPECT_EQ(body->number, 3U);
  EXPECT_EQ(body->size_bits, 1024U);
  EXPECT_EQ(texts(body->additional_slaves), (std::vector<std::string>{"SAE-C", "CN=x, O=y"}));
}

TEST(KeyRequestBody, LeavesDefaultsToTheKme) {
  const char* const cases[] = {
      "",
      "{}",
      " {\n} ",
      R"({"number":null,"size":null,"additional_slave_SAE_IDs":null,"extension_mandatory":null,"extension_optional":null})",
      R"({"additional_slave_SAE_IDs":[],"extension_mandatory":[],"extension_optional":[]})",
      R"({"extension_mandatory":[{},{}]})",
      R"({"Number":7,"SIZE":"x"})",
  };
  for (const char* json : cases) {
    const Result<KeyRequestBody> body = parse_key_request_body(json);
    ASSERT_TRUE(body.has_value()) << json << ": " << body.error().text;
    EXPECT_EQ(body->number, std::nullopt) << json;
    EXPECT_EQ(body->size_bits, std::nullopt) << json;
    EXPECT_TRUE(body->additional_slaves.empty()) << json;
  }
}

TEST(KeyRequestBody, LeavesLimitsToTheEngine) {
  const std::pair<const char*, std::uint64_t> cases[] = {
      {"0", 0}, {"7", 7}, {"4294967296", 4294967296}, {"9223372036854775807", 9223372036854775807ULL}};
  for (const auto& [text, value] : cases) {
    const Result<KeyRequestBody> body =
        parse_key_request_body(std::string(R"({"number":)") + text + R"(,"size":)" + text + "}");
    ASSERT_TRUE(body.has_value()) << text;
    EXPECT_EQ(body->number, value);
    EXPECT_EQ(body->size_bits, value);
  }
}

TEST(KeyRequestBody, MarksTheCountThatIsNoInteger) {
  const char* const cases[] = {
      "-1",   "-0",   "1.0",   "1.5", "1e2", "1e400", "9223372036854775808", "18446744073709551616", "\"3\"",
      "\"\"", "true", "false", "[]",  "[1]", "{}"};
  for (const std::string name : {"number", "size"}) {
    for (const char* value : cases) {
      const Result<KeyRequestBody> body = parse_key_request_body("{\"" + name + "\":" + value + "}");
      ASSERT_TRUE(body.has_value()) << name << value;
      EXPECT_EQ(name == "size" ? body->size_bits : body->number, kNoCount) << name << value;
    }
  }
}

struct RefusedBody {
  const char* name;
  std::string json;
  const char* message;  // a part of it
};

TEST(KeyRequestBody, RefusesWhatIsMalformedAndSaysWhy) {
  const RefusedBody cases[] = {
      {"a blank", " ", "not acceptable JSON"},
      {"null", "null", "must be a JSON object"},
      {"an array", "[]", "must be a JSON object"},
      {"a string", R"("x")", "must be a JSON object"},
      {"garbage behind", "{}{}", "something follows"},
      {"a number with a leading zero", R"({"number":01})", "leading zero"},
      {"number twice", R"({"number":1,"number":2})", "two members of one name"},
      {"an unknown member twice", R"({"x":1,"x":2})", "two members of one name"},
      {"slaves as a string", R"({"additional_slave_SAE_IDs":"A"})",
       "additional_slave_SAE_IDs must be an array of strings"},
      {"slaves as an object", R"({"additional_slave_SAE_IDs":{}})",
       "additional_slave_SAE_IDs must be an array of strings"},
      {"a slave as a number", R"({"additional_slave_SAE_IDs":["A",1]})",
       "additional_slave_SAE_IDs[1] must be a string"},
      {"a slave as null", R"({"additional_slave_SAE_IDs":[null]})", "additional_slave_SAE_IDs[0] must be a string"},
      {"an empty slave", R"({"additional_slave_SAE_IDs":[""]})", "additional_slave_SAE_IDs[0]: an ID is"},
      {"a blank slave", R"({"additional_slave_SAE_IDs":["A"," "]})", "additional_slave_SAE_IDs[1]: an ID is"},
      {"a slave outside ASCII", "{\"additional_slave_SAE_IDs\":[\"\xc3\xa9\"]}",
       "additional_slave_SAE_IDs[0]: an ID is"},
      {"a slave twice", R"({"additional_slave_SAE_IDs":["A","B","A"]})", "additional_slave_SAE_IDs names an SAE twice"},
      {"mandatory as an object", R"({"extension_mandatory":{}})", "extension_mandatory must be an array of objects"},
      {"mandatory as a string", R"({"extension_mandatory":"x"})", "extension_mandatory must be an array of objects"},
      {"mandatory of strings", R"({"extension_mandatory":["x"]})", "extension_mandatory[0] must be an object"},
      {"optional as an object", R"({"extension_optional":{"a_b":1}})",
       "extension_optional must be an array of objects"},
      {"optional of numbers", R"({"extension_optional":[{},1]})", "extension_optional[1] must be an object"},
  };
  for (const auto& [name, json, message] : cases) {
    const Result<KeyRequestBody> body = parse_key_request_body(json);
    ASSERT_FALSE(body.has_value()) << name;
    EXPECT_EQ(body.error().code, ErrorCode::kInvalid) << name;
    EXPECT_THAT(body.error().text, HasSubstr(message)) << name;
  }
}

TEST(KeyRequestBody, ListsExtensionsWithTheirValuesInOrder) {
  const Result<KeyRequestBody> body = parse_key_request_body(
      R"({"extension_mandatory":[{},{"acme_x":1,"acme_y":null}],"extension_optional":[{"acme_z":"direct"}]})");
  ASSERT_TRUE(body.has_value());
  ASSERT_EQ(body->mandatory.size(), 2U);
  EXPECT_EQ(body->mandatory[0].name, "acme_x");
  EXPECT_EQ(*body->mandatory[0].value.get<std::int64_t>(), 1);
  EXPECT_EQ(body->mandatory[1].name, "acme_y");
  ASSERT_EQ(body->optional.size(), 1U);
  EXPECT_EQ(*body->optional[0].value.get<std::string>(), "direct");
}

// --- Get key, GET
// ------------------------------------------------------------------------------------------------------------------

TEST(KeyRequestQuery, ReadsNumberAndSize) {
  const Result<KeyRequestBody> both = parse_key_request_query({{"size", "1024"}, {"number", "3"}, {"other", "x"}});
  ASSERT_TRUE(both.has_value());
  EXPECT_EQ(both->number, 3U);
  EXPECT_EQ(both->size_bits, 1024U);
  const Result<KeyRequestBody> none = parse_key_request_query({{"Number", "3"}, {"extension_optional", "x"}});
  ASSERT_TRUE(none.has_value());
  EXPECT_EQ(none->number, std::nullopt);
  EXPECT_EQ(none->size_bits, std::nullopt);
  EXPECT_EQ(parse_key_request_query({{"number", "0"}})->number, 0U);
  EXPECT_EQ(parse_key_request_query({{"number", "9223372036854775807"}})->number, 9223372036854775807ULL);
}

TEST(KeyRequestQuery, MarksTheCountThatIsNoInteger) {
  for (const char* value : {"", " 1", "1 ", "+1", "-1", "-0", "01", "00", "1.0", "1e2", "0x10", "one",
                            "9223372036854775808", "99999999999999999999999", "null", "\"1\"", "1\n"}) {
    for (const std::string name : {"number", "size"}) {
      const Result<KeyRequestBody> request = parse_key_request_query({{name, value}});
      ASSERT_TRUE(request.has_value()) << name << '=' << value;
      EXPECT_EQ(name == "size" ? request->size_bits : request->number, kNoCount) << name << '=' << value;
    }
  }
}

TEST(KeyRequestQuery, RefusesWhatOnlyAPostMayAsk) {
  for (const char* name :
       {"extension_mandatory", "extension_mandatory[0]", "additional_slave_SAE_IDs", "additional_slave_SAE_IDs[]"}) {
    const Result<KeyRequestBody> request = parse_key_request_query({{"number", "1"}, {name, ""}});
    ASSERT_FALSE(request.has_value()) << name;
    EXPECT_EQ(request.error().code, ErrorCode::kInvalid) << name;
    EXPECT_THAT(request.error().text, HasSubstr("POST only")) << name;
  }
}

// --- Get key with key IDs
// ----------------------------------------------------------------------------------------------------------

TEST(KeyIdsBody, ReadsIdsInOrder) {
  const Result<std::vector<KeyId>> ids = parse_key_ids_body(key_ids({kUuidB, kUuidAUpper}));
  ASSERT_TRUE(ids.has_value()) << ids.error().text;
  ASSERT_EQ(ids->size(), 2U);
  EXPECT_EQ(to_string((*ids)[0]), kUuidB);
  EXPECT_EQ(to_string((*ids)[1]), kUuidA);
}

TEST(KeyIdsBody, IgnoresOtherMembers) {
  const std::string json = std::string(R"({"key_IDs_extension":{"x":1},"y":[],"key_IDs":[{"z":null,"key_ID":")") +
                           kUuidA + R"(","key_ID_extension":{}}]})";
  const Result<std::vector<KeyId>> ids = parse_key_ids_body(json);
  ASSERT_TRUE(ids.has_value()) << ids.error().text;
  EXPECT_EQ(ids->size(), 1U);
}

TEST(KeyIdsBody, HoldsAThousandIds) {
  std::string json = R"({"key_IDs":[)";
  for (int i = 1000; i < 2000; ++i) {
    json += std::string(i == 1000 ? "" : ",") + R"({"key_ID":"00000000-0000-4000-8000-00000000)" + std::to_string(i) +
            "\"}";
  }
  const Result<std::vector<KeyId>> ids = parse_key_ids_body(json + "]}");
  ASSERT_TRUE(ids.has_value()) << ids.error().text;
  EXPECT_EQ(ids->size(), 1000U);
}

TEST(KeyIdsBody, RefusesWhatIsMalformedAndSaysWhy) {
  const RefusedBody cases[] = {
      {"nothing", "", "not acceptable JSON"},
      {"an array", "[]", "must be a JSON object"},
      {"no member", "{}", "key_IDs must be an array of at least one object"},
      {"null", R"({"key_IDs":null})", "key_IDs must be an array of at least one object"},
      {"a string", R"({"key_IDs":"x"})", "key_IDs must be an array of at least one object"},
      {"an empty array", R"({"key_IDs":[]})", "key_IDs must be an array of at least one object"},
      {"the member of the GET form", std::string(R"({"key_ID":")") + kUuidA + "\"}", "key_IDs must be an array"},
      {"bare strings", std::string(R"({"key_IDs":[")") + kUuidA + "\"]}", "key_IDs[0] must be an object"},
      {"null in the array", R"({"key_IDs":[null]})", "key_IDs[0] must be an object"},
      {"an empty object", R"({"key_IDs":[{}]})", "key_IDs[0].key_ID is missing"},
      {"a null ID", R"({"key_IDs":[{"key_ID":null}]})", "key_IDs[0].key_ID is missing"},
      {"a number", R"({"key_IDs":[{"key_ID":1}]})", "key_IDs[0].key_ID must be a string"},
      {"no UUID", key_ids({kUuidA, "x"}), "key_IDs[1].key_ID must be a UUID"},
      {"an empty ID", key_ids({""}), "key_IDs[0].key_ID must be a UUID"},
      {"braces", key_ids({"{0189b6c2-5a1e-4f3d-8c7b-001122334455}"}), "must be a UUID"},
      {"a URN", key_ids({"urn:uuid:0189b6c2-5a1e-4f3d-8c7b-001122334455"}), "must be a UUID"},
      {"36 blanks", key_ids({"                                    "}), "must be a UUID"},
      {"no dashes", key_ids({"0189b6c25a1e4f3d8c7b001122334455"}), "must be a UUID"},
      {"the same ID twice", key_ids({kUuidA, kUuidB, kUuidA}), "key_IDs has a key_ID twice"},
      {"the same ID in two cases", key_ids({kUuidA, kUuidAUpper}), "key_IDs has a key_ID twice"},
      {"key_IDs twice", R"({"key_IDs":[],"key_IDs":[]})", "two members of one name"},
      {"key_ID twice", R"({"key_IDs":[{"key_ID":"a","key_ID":"b"}]})", "two members of one name"},
  };
  for (const auto& [name, json, message] : cases) {
    const Result<std::vector<KeyId>> ids = parse_key_ids_body(json);
    ASSERT_FALSE(ids.has_value()) << name;
    EXPECT_EQ(ids.error().code, ErrorCode::kInvalid) << name;
    EXPECT_THAT(ids.error().text, HasSubstr(message)) << name;
  }
}

TEST(KeyIdsQuery, ReadsExactlyOneId) {
  const Result<std::vector<KeyId>> ids = parse_key_ids_query({{"other", "x"}, {"key_ID", kUuidAUpper}});
  ASSERT_TRUE(ids.has_value());
  ASSERT_EQ(ids->size(), 1U);
  EXPECT_EQ(to_string((*ids)[0]), kUuidA);
}

TEST(KeyIdsQuery, RefusesWhatIsMalformed) {
  const std::pair<const char*, Parameters> cases[] = {
      {"nothing", {}},
      {"another letter case", {{"key_id", kUuidA}}},
      {"an empty value", {{"key_ID", ""}}},
      {"no UUID", {{"key_ID", "x"}}},
      {"two in one", {{"key_ID", std::string(kUuidA) + "," + kUuidB}}},
      {"the member of the POST form", {{"key_ID", kUuidA}, {"key_IDs", kUuidB}}},
      {"an extension of the ID", {{"key_ID", kUuidA}, {"key_ID_extension", ""}}},
      {"an extension of the request", {{"key_ID", kUuidA}, {"key_IDs_extension", ""}}},
  };
  for (const auto& [name, query] : cases) {
    const Result<std::vector<KeyId>> ids = parse_key_ids_query(query);
    ASSERT_FALSE(ids.has_value()) << name;
    EXPECT_EQ(ids.error().code, ErrorCode::kInvalid) << name;
    EXPECT_THAT(ids.error().text, HasSubstr("key_ID")) << name;
  }
}

}  // namespace
}  // namespace qkms::api::etsi014
