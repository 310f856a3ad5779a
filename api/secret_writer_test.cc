#include "api/secret_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace qkms::api {
namespace {

std::string base64(std::string_view bytes) {
  std::vector<std::uint8_t> out(base64_size(bytes.size()));
  SecretWriter writer(out);
  writer.base64({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  EXPECT_TRUE(writer.full());
  return std::string(out.begin(), out.end());
}

// RFC 4648 §10.
TEST(SecretWriter, WritesTheBase64TestVectors) {
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : cases) EXPECT_EQ(base64(bytes), text);
}

TEST(SecretWriter, UsesTheWholeAlphabet) {
  std::string bytes;
  for (unsigned i = 0; i < 64; i += 4) {
    const unsigned group = i << 18 | (i + 1) << 12 | (i + 2) << 6 | (i + 3);
    bytes += {static_cast<char>(group >> 16), static_cast<char>(group >> 8), static_cast<char>(group)};
  }
  EXPECT_EQ(base64(bytes), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
}

TEST(SecretWriter, WritesPartsOneAfterAnother) {
  std::vector<std::uint8_t> out(2 + kUuidTextBytes + 4, '.');
  SecretWriter writer(out);
  writer.text("a:");
  writer.text("");
  writer.uuid(KeyId({0xab}));
  EXPECT_EQ(writer.written(), 2 + kUuidTextBytes);
  EXPECT_FALSE(writer.full());
  EXPECT_EQ(std::string(out.begin(), out.end()), "a:ab000000-0000-0000-0000-000000000000....");
}

TEST(SecretWriterDeathTest, NeverWritesPastTheEnd) {
  std::vector<std::uint8_t> out(5);
  SecretWriter writer(out);
  writer.text("ab");
  const std::uint8_t bits[3] = {1, 2, 3};
  EXPECT_DEATH(writer.base64(bits), "size <= out_.size");
}

}  // namespace
}  // namespace qkms::api
