#include "api/percent.h"

#include <gtest/gtest.h>

namespace qkms::api {
namespace {

TEST(Percent, EncodesEverythingButUnreservedCharacters) {
  EXPECT_EQ(percent_encode("SAE-1/a b%é"), "SAE-1%2Fa%20b%25%C3%A9");
  EXPECT_EQ(percent_encode("az-AZ_09.~"), "az-AZ_09.~");
}

TEST(Percent, ReadsWhatItWrites) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(percent_decode(percent_encode(all)).value(), all);
}

TEST(Percent, RefusesHalfAnEncoding) {
  for (const char* text : {"%", "%2", "%zz", "a%2", "%%41", "%4g"}) EXPECT_FALSE(percent_decode(text)) << text;
}

}  // namespace
}  // namespace qkms::api
