#include "api/etsi014/response.h"

#include <gtest/gtest.h>

#include <vector>

#include "api/etsi014/messages.h"
#include "api/json_reader.h"
#include "base/secret.h"

namespace qkms::api::etsi014 {
namespace {

using namespace std::string_literals;

Status sample_status() {
  return {.source_kme = *KmeId::parse("KME-A"),
          .target_kme = *KmeId::parse("KME-B"),
          .master = *SaeId::parse("SAE-A"),
          .slave = *SaeId::parse("CN=\"enc\\1\""),
          .key_size_bits = 256,
          .stored_key_count = 25'000,
          .max_key_count = 100'000,
          .max_key_per_request = 128,
          .max_key_size_bits = 4096,
          .min_key_size_bits = 64,
          .max_additional_slaves = 8};
}

TEST(StatusBody, HasEveryMandatoryMember) {
  EXPECT_EQ(
      status_body(sample_status()),
      R"({"source_KME_ID":"KME-A","target_KME_ID":"KME-B","master_SAE_ID":"SAE-A","slave_SAE_ID":"CN=\"enc\\1\"",)"
      R"("key_size":256,"stored_key_count":25000,"max_key_count":100000,"max_key_per_request":128,)"
      R"("max_key_size":4096,"min_key_size":64,"max_SAE_ID_count":8})");
}

TEST(StatusBody, KeepsIntegersWithin32SignedBits) {
  Status status = sample_status();
  status.stored_key_count = 4'000'000'000;
  status.max_key_count = 2'147'483'647;
  const std::string body = status_body(status);
  EXPECT_NE(body.find(R"("stored_key_count":2147483647,)"), std::string::npos) << body;
  EXPECT_NE(body.find(R"("max_key_count":2147483647,)"), std::string::npos) << body;
}

TEST(ErrorBody, LeavesOutDetailsWhenThereAreNone) {
  EXPECT_EQ(error_body(kSizeNotMultipleOf8), R"({"message":"size shall be a multiple of 8"})");
  EXPECT_EQ(error_body(""), R"({"message":""})");
}

TEST(ErrorBody, WritesDetailsAsAnArrayOfObjects) {
  const Detail details[] = {{"qkms_reason", "pool-exhausted"}, {"a\"b", "\n"}};
  EXPECT_EQ(error_body("m", details),
            R"({"message":"m","details":[{"qkms_reason":"pool-exhausted"},{"a\"b":"\u000a"}]})");
}

struct TextCase {
  const char* name;
  std::string text;
  const char* json;
};

TEST(ErrorBody, EscapesAnyBytes) {
  const TextCase cases[] = {
      {"quotes and backslash", R"(a"b\c)", R"("a\"b\\c")"},
      {"line break that would forge a log line", "\r\n{\"fake\":1}", R"("\u000d\u000a{\"fake\":1}")"},
      {"NUL, escape and DEL", "\0\x1b\x7f"s, R"("\u0000\u001b\u007f")"},
      {"UTF-8", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
      {"stray bytes", "a\xff\x80z", R"("a\ufffd\ufffdz")"},
      {"overlong slash", "\xc0\xaf", R"("\ufffd\ufffd")"},
      {"cut off character", "\xe2\x82", R"("\ufffd\ufffd")"},
  };
  for (const auto& [name, text, json] : cases) {
    EXPECT_EQ(error_body(text), std::string(R"({"message":)") + json + "}") << name;
  }
}

TEST(ErrorBody, IsAlwaysReadableJson) {
  for (int first = 1; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string text = {static_cast<char>(first), static_cast<char>(second), 'x'};
      if (second == 0) continue;  // our own reader refuses NUL
      ASSERT_TRUE(read_json(error_body(text)).has_value()) << first << ' ' << second;
    }
  }
}

TEST(Messages, AreTheStandardsToTheLetter) {
  EXPECT_EQ(kSizeNotMultipleOf8, "size shall be a multiple of 8");
  EXPECT_EQ(kExtensionUnsupported, "not all extension_mandatory parameters are supported");
  EXPECT_EQ(kExtensionUnmet, "not all extension_mandatory request options could be met");
  EXPECT_EQ(kKeyNotFound, "one or more keys specified are not found on KME");
}

// --- key container
// -----------------------------------------------------------------------------------------------------------------

std::string container_text(const KeyContainer& keys) {
  SecretBytes buffer(key_container_size(keys.key_bytes));
  SecretWriter writer(buffer.reveal_mutable());
  write_key_container(keys, writer);
  EXPECT_TRUE(writer.full());
  const auto text = buffer.reveal();
  return std::string(text.begin(), text.end());
}

TEST(KeyContainer, WritesKeysOfDifferentSizesInOrder) {
  const KeyId ids[] = {KeyId({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}), KeyId({0xff})};
  const std::uint32_t sizes[] = {3, 4};
  const std::uint8_t bits[] = {'M', 'a', 'n', 0xff, 0xfe, 0xfd, 0xfc};
  EXPECT_EQ(container_text({ids, sizes, bits}),
            R"({"keys":[{"key_ID":"00010203-0405-0607-0809-0a0b0c0d0e0f","key":"TWFu"},)"
            R"({"key_ID":"ff000000-0000-0000-0000-000000000000","key":"//79/A=="}]})");
}

TEST(KeyContainer, HasTheSizeThatWasComputed) {
  const std::vector<KeyId> ids(128);
  for (std::uint32_t key_bytes : {8U, 31U, 32U, 33U, 512U}) {
    for (std::size_t count : {0U, 1U, 2U, 128U}) {
      const std::vector<std::uint32_t> sizes(count, key_bytes);
      const std::vector<std::uint8_t> bits(count * key_bytes, 0x5a);
      const std::string text = container_text({std::span(ids).first(count), sizes, bits});
      EXPECT_EQ(text.size(), key_container_size(sizes));
      EXPECT_TRUE(read_json(text).has_value());
    }
  }
}

}  // namespace
}  // namespace qkms::api::etsi014
