#include "base/text.h"

#include <gtest/gtest.h>

namespace qkms {
namespace {

TEST(Printable, EscapesWhatCouldForgeALogLine) {
  EXPECT_EQ(printable("a\n{\"fake\":1}"), "a\\x0a{\"fake\":1}");
  EXPECT_EQ(printable("\x1b[31m\xc3\xa9\\"), "\\x1b[31m\\xc3\\xa9\\x5c");
  EXPECT_EQ(printable("abcdef", 3), "abc...");
}

TEST(ToHex, WritesLowerCase) { EXPECT_EQ(to_hex(std::array<std::uint8_t, 2>{0x0f, 0xa0}), "0fa0"); }

}  // namespace
}  // namespace qkms
