#include "api/secret_reader.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "api/secret_writer.h"

namespace qkms::api {
namespace {

std::optional<std::string> text_of(const std::optional<SecretBytes>& bytes) {
  if (!bytes) return std::nullopt;
  return std::string(bytes->reveal().begin(), bytes->reveal().end());
}

std::optional<std::string> decoded(std::string_view text) {
  return text_of(decode_base64({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}));
}

TEST(SecretReader, DecodesBase64WithPaddingAndNothingElse) {
  struct Case {
    const char* text;
    const char* bytes;  // null: refused
  };
  // RFC 4648 §10, and what is near it.
  const Case cases[] = {{"", ""},          {"Zg==", "f"},        {"Zm8=", "fo"},
                        {"Zm9v", "foo"},   {"Zm9vYg==", "foob"}, {"+/+/", "\xfb\xff\xbf"},
                        {"Zg", nullptr},   {"Zg=", nullptr},     {"Z===", nullptr},
                        {"====", nullptr}, {"Zm9-", nullptr},    {"Zm9v\n", nullptr},
                        {"Zm=v", nullptr}, {"=m9v", nullptr},    {"Zm9\xff", nullptr}};
  for (const auto& c : cases) {
    const auto bytes = decoded(c.text);
    ASSERT_EQ(bytes.has_value(), c.bytes != nullptr) << c.text;
    if (bytes) {
      EXPECT_EQ(*bytes, c.bytes) << c.text;
    }
  }
}

TEST(SecretReader, RefusesEachCharacterThatIsNotInTheAlphabet) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (int c = 0; c < 256; ++c) {
    const std::string text = std::string("AA") + static_cast<char>(c) + "A";
    EXPECT_EQ(decoded(text).has_value(), kAlphabet.contains(static_cast<char>(c))) << c;
  }
}

TEST(SecretReader, ReadsWhatTheWriterWrites) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (std::size_t size = 0; size < 200; ++size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    std::vector<std::uint8_t> text(base64_size(size));
    SecretWriter(text).base64({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    EXPECT_EQ(text_of(decode_base64(text)), bytes);
  }
}

TEST(SecretReader, ResolvesTheEscapeThatBase64MayHaveInJson) {
  EXPECT_EQ(text_of(decode_base64_in_json(R"(+\/+\/)")), "\xfb\xff\xbf");
  EXPECT_FALSE(decode_base64_in_json(R"(+\u002f+/)"));
  EXPECT_FALSE(decode_base64_in_json(R"(AAA\)"));
}

}  // namespace
}  // namespace qkms::api
