#include "drivers/etsi014/device_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace qkms::drivers::etsi014 {
namespace {

using testing::HasSubstr;

SecretBytes body(std::string_view text) {
  return SecretBytes::copy_of({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

std::string text_of(const SecretBytes& bytes) { return {bytes.reveal().begin(), bytes.reveal().end()}; }

constexpr const char* kId = "5ca1ab1e-0000-4000-8000-00000000dead";

TEST(DeviceStatusMessage, IsReadAsTheStandardHasIt) {
  const auto status = read_status(body(R"({"source_KME_ID":"A","target_KME_ID":"B","master_SAE_ID":"a",
      "slave_SAE_ID":"b","key_size":352,"stored_key_count":25000,"max_key_count":100000,"max_key_per_request":128,
      "max_key_size":1024,"min_key_size":64,"max_SAE_ID_count":0,"status_extension":{"acme_x":[1,2.5]}})"));
  ASSERT_TRUE(status) << status.error().text;
  EXPECT_EQ(*status, (DeviceStatus{352, 64, 1024, 128, 25000, ""}));
}

TEST(DeviceStatusMessage, WhatIsLeftOutHasTheLeast) {
  const auto status = read_status(body(R"({"key_size":256,"max_key_size":null})"));
  ASSERT_TRUE(status) << status.error().text;
  EXPECT_EQ(*status, (DeviceStatus{256, 256, 256, 1, std::nullopt, ""}));
}

TEST(DeviceStatusMessage, IsShownWhenItIsOdd) {
  EXPECT_THAT(read_status(body(R"({"key_size":256,"max_key_size":128,"min_key_size":64})"))->oddity,
              HasSubstr("key_size is not within"));
  EXPECT_THAT(read_status(body(R"({"key_size":256,"stored_key_count":9,"max_key_count":8})"))->oddity,
              HasSubstr("more keys than its max_key_count"));
}

TEST(DeviceStatusMessage, IsRefusedWithAReason) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "not acceptable JSON"},
      {"[]", "no JSON object"},
      {"{}", "no key_size"},
      {R"({"key_size":0})", "no key_size"},
      {R"({"key_size":"256"})", "its key_size is no integer"},
      {R"({"key_size":256.0})", "its key_size is no integer"},
      {R"({"key_size":-8})", "its key_size is no integer"},
      {R"({"key_size":99999999999})", "its key_size is no integer"},
      {R"({"key_size":256,"key_size":8})", "not acceptable JSON"},
      {R"({"key_size":256,"max_key_per_request":0})", "its max_key_per_request is 0"},
      {R"({"key_size":256,"min_key_size":512,"max_key_size":256})", "above its max_key_size"},
      {R"({"key_size":256,"stored_key_count":true})", "its stored_key_count is no integer"},
  };
  for (const auto& [text, why] : cases) {
    const auto status = read_status(body(text));
    ASSERT_FALSE(status) << text;
    EXPECT_THAT(status.error().text, HasSubstr(why)) << text;
    EXPECT_EQ(name_of(status.error().code), name_of(ErrorCode::kCorrupt));
  }
}

TEST(DeviceKeyContainer, GivesKeysInTheirOrder) {
  const auto keys = read_key_container(body(R"({"keys":[
      {"key_ID":"5CA1AB1E-0000-4000-8000-00000000DEAD","key":"QUJDREVGR0g=","key_extension":{"a":1}},
      {"key":"\/\/8=","acme":["x"],"key_ID":"5ca1ab1e-0000-4000-8000-00000000beef"}],"key_container_extension":{}})"));
  ASSERT_TRUE(keys) << keys.error().text;
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_EQ(to_string((*keys)[0].id), kId);
  EXPECT_EQ(text_of((*keys)[0].bits), "ABCDEFGH");
  EXPECT_EQ(text_of((*keys)[1].bits), "\xff\xff");
  EXPECT_TRUE(read_key_container(body(R"({"keys":[]})"))->empty());
}

TEST(DeviceKeyContainer, IsRefusedWithAReasonThatHoldsNoBits) {
  const std::string id = std::string(R"({"keys":[{"key_ID":")") + kId + "\",";
  const std::pair<std::string, const char*> cases[] = {
      {"", "not acceptable JSON"},
      {R"({"keys":[{"key_ID":")", "not acceptable JSON"},
      {id + R"("key":"QUJD)", "not acceptable JSON"},
      {"{}", "no array \"keys\""},
      {R"({"keys":{}})", "no array \"keys\""},
      {R"({"keys":["QUJD"]})", "no object"},
      {R"({"keys":[{"key":"QUJD"}]})", "no key_ID"},
      {R"({"keys":[{"key_ID":7,"key":"QUJD"}]})", "no key_ID"},
      {R"({"keys":[{"key_ID":"1","key":"QUJD"}]})", "no UUID"},
      {R"({"keys":[{"key_ID":"{5ca1ab1e-0000-4000-8000-00000000dead}","key":"QUJD"}]})", "no UUID"},
      {id + R"("x":1}]})", "no bits"},
      {id + R"("key":["QUJD"]}]})", "no bits"},
      {id + R"("key":null}]})", "no bits"},
      {id + R"("key":"QUJ"}]})", "not base64"},
      {id + R"("key":"QUJ-"}]})", "not base64"},
      {id + R"("key":"QUJD\n"}]})", "not base64"},
      {id + R"("key":"QUJD","key":"QUJD"}]})", "not acceptable JSON"},
  };
  for (const auto& [text, why] : cases) {
    const auto keys = read_key_container(body(text));
    ASSERT_FALSE(keys) << text;
    EXPECT_THAT(keys.error().text, HasSubstr(why)) << text;
    EXPECT_THAT(keys.error().text, testing::Not(HasSubstr("QUJ"))) << text;
  }
  std::string many = R"({"keys":[)";
  for (std::size_t i = 0; i <= kMaxKeysPerAnswer; ++i) many += i == 0 ? "0" : ",0";
  EXPECT_THAT(read_key_container(body(many + "]}")).error().text, HasSubstr("more than 1024 keys"));
}

TEST(DeviceRefusal, IsASentenceWhateverCame) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"message":"Size shall be a multiple of 8","details":[{"a":"b"}]})", "400: Size shall be a multiple of 8"},
      {R"({"message":"no","details":"a text"})", "400: no"},
      {R"({"message":"a\u0007b"})", "400: a\\x07b"},
      {R"({"message":7})", "400"},
      {R"({"Message":"x"})", "400"},
      {"<html>", "400"},
      {"", "400"},
  };
  for (const auto& [text, sentence] : cases) EXPECT_EQ(describe_refusal(400, body(text)), sentence);
  const std::string longest(10'000, 'x');
  EXPECT_LT(describe_refusal(400, body("{\"message\":\"" + longest + "\"}")).size(), kMaxMessageBytes + 20);
}

TEST(DeviceRequests, AreWhatTheStandardSays) {
  EXPECT_EQ(key_request(3, 1024), R"({"number":3,"size":1024})");
  const KeyId id(*parse_uuid(kId));
  const KeyId ids[] = {id, id};
  EXPECT_EQ(key_ids_request(std::span(ids).first(1)),
            R"({"key_IDs":[{"key_ID":"5ca1ab1e-0000-4000-8000-00000000dead"}]})");
  EXPECT_THAT(key_ids_request(ids), HasSubstr(R"("},{"key_ID":")"));
}

TEST(DeviceMessages, ComeToAnEndForAnyBytes) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::string kPieces[] = {"{",
                                 "}",
                                 "[",
                                 "]",
                                 ":",
                                 ",",
                                 "\"keys\":",
                                 "\"key\":",
                                 "\"QUJD\"",
                                 "\"key_ID\":",
                                 std::string("\"") + kId + "\"",
                                 "256",
                                 "\"key_size\":",
                                 "\\",
                                 "\x80",
                                 "-1"};
  for (int round = 0; round < 20'000; ++round) {
    std::string text = random() % 2 == 0 ? "{" : R"({"keys":[{)";
    for (std::size_t i = random() % 24; i > 0; --i) text += kPieces[random() % std::size(kPieces)];
    const SecretBytes bytes = body(text);
    static_cast<void>(read_status(bytes));
    static_cast<void>(describe_refusal(500, bytes));
    if (const auto keys = read_key_container(bytes)) {
      EXPECT_LE(keys->size(), text.size());
    }
  }
}

}  // namespace
}  // namespace qkms::drivers::etsi014
