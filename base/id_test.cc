#include "base/id.h"

#include <gtest/gtest.h>

#include <type_traits>

namespace qkms {
namespace {

struct IdCase {
  const char* name;
  std::string text;
  bool valid;
};

TEST(TextId, AcceptsPrintableAsciiOfBoundedLength) {
  const IdCase cases[] = {
      {"plain", "SAE-A", true},
      {"one character", "x", true},
      {"distinguished name", "CN=enc 1,O=Ministry,C=AT", true},
      {"URI", "urn:etsi:sae/7", true},
      {"longest", std::string(320, 'a'), true},
      {"too long", std::string(321, 'a'), false},
      {"empty", "", false},
      {"blank in front", " a", false},
      {"blank at the end", "a ", false},
      {"NUL", std::string("a\0b", 3), false},
      {"newline", "a\nb", false},
      {"delete", "a\x7f", false},
      {"full-width letter", "\xef\xbc\xa1", false},
      {"overlong slash", "\xc0\xaf", false},
  };
  for (const auto& c : cases) EXPECT_EQ(SaeId::parse(c.text).has_value(), c.valid) << c.name;
}

TEST(TextId, IsComparedExactly) {
  EXPECT_NE(*SaeId::parse("sae1"), *SaeId::parse("SAE1"));
  EXPECT_EQ(*SaeId::parse("SAE1"), *SaeId::parse("SAE1"));
  static_assert(!std::is_convertible_v<SaeId, KmeId>);
  static_assert(!std::is_constructible_v<SaeId, KmeId>);
}

TEST(Uuid, IsReadInEitherCaseAndWrittenInLowerCase) {
  const auto bytes = parse_uuid("F81D4FAE-7dec-11D0-A765-00a0c91e6bf6");
  ASSERT_TRUE(bytes.has_value());
  EXPECT_EQ(to_string(KeyId(*bytes)), "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
}

TEST(Uuid, RefusesOtherForms) {
  for (const char* text : {"", "f81d4fae7dec11d0a76500a0c91e6bf6", "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}",
                           "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "f81d4fae-7dec-11d0-a765-00a0c91e6bfg",
                           "f81d4fae-7dec-11d0-a76500-a0c91e6bf6", "                                    "}) {
    EXPECT_FALSE(parse_uuid(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace qkms
