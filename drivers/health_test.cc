// T30: a device that repeats, gives zeroes, or gives too little entropy.
#include "drivers/health.h"

#include <gtest/gtest.h>

#include <cstring>

#include "drivers/testing/bits.h"

namespace qkms::drivers {
namespace {

HealthTests fresh_tests() { return HealthTests(random_bits(32, 1)); }

// Under an ID of its own, unless told otherwise.
Block block_of(SecretBytes bits, std::uint32_t number = 0) {
  static std::uint32_t last = 1'000'000;
  if (number == 0) number = ++last;
  BlockId::Bytes id{};
  std::memcpy(id.data(), &number, sizeof number);
  return {BlockId(id), std::move(bits)};
}

SecretBytes filled(std::size_t size, std::uint8_t byte) {
  SecretBytes bits(size);
  std::ranges::fill(bits.reveal_mutable(), byte);
  return bits;
}

TEST(HealthTests, PassesGoodBits) {
  HealthTests tests = fresh_tests();
  for (std::uint32_t i = 0; i < 500; ++i) EXPECT_EQ(tests.examine(block_of(random_bits(64 + i * 7, 100 + i))), "");
  EXPECT_EQ(tests.examine(block_of(random_bits(1 << 20, 99))), "");
}

TEST(HealthTests, NoticesConstantBits) {
  for (const std::uint8_t byte : {0x00, 0xff}) {
    HealthTests tests = fresh_tests();
    EXPECT_EQ(tests.examine(block_of(filled(64, byte))), "more than 64 equal bits in a row (repetition count test)");
  }
}

// A run of 65 bits fails wherever it begins, one of 64 does not.
TEST(HealthTests, CountsARunBitByBit) {
  for (unsigned begin = 1; begin < 24; ++begin) {
    for (const unsigned length : {64u, 65u}) {
      HealthTests tests = fresh_tests();
      SecretBytes bits = random_bits(128, 5);
      const auto set = [&](unsigned bit, bool value) {
        auto& byte = bits.reveal_mutable()[bit / 8];
        const auto mask = static_cast<std::uint8_t>(0x80 >> bit % 8);
        byte = static_cast<std::uint8_t>(value ? byte | mask : byte & ~mask);
      };
      set(100 + begin - 1, true);
      for (unsigned bit = 0; bit < length; ++bit) set(100 + begin + bit, false);
      set(100 + begin + length, true);
      EXPECT_EQ(tests.examine(block_of(std::move(bits))).contains("repetition count"), length == 65)
          << begin << ' ' << length;
    }
  }
}

TEST(HealthTests, CountsARunOverTheEndOfABlock) {
  HealthTests tests = fresh_tests();
  SecretBytes first = random_bits(64, 6), second = random_bits(64, 7);
  std::ranges::fill(first.reveal_mutable().last(5), std::uint8_t{0});
  std::ranges::fill(second.reveal_mutable().first(5), std::uint8_t{0});
  EXPECT_EQ(tests.examine(block_of(std::move(first))), "");
  EXPECT_TRUE(tests.examine(block_of(std::move(second))).contains("repetition count"));
}

// Each bit is a one with probability 0.75: no long runs, but 768 of 1024.
TEST(HealthTests, NoticesABias) {
  HealthTests tests = fresh_tests();
  std::mt19937 random(8);
  SecretBytes bits(1024);
  for (auto& byte : bits.reveal_mutable()) byte = static_cast<std::uint8_t>(random() | random());
  EXPECT_EQ(tests.examine(block_of(std::move(bits))),
            "too many zeros or ones among 1024 bits (adaptive proportion test)");
}

TEST(HealthTests, NoticesAShortPeriod) {
  for (const std::size_t period : {2u, 3u, 16u, 31u, 64u}) {
    HealthTests tests = fresh_tests();
    const SecretBytes unit = random_bits(period, 9);
    SecretBytes bits(4096);
    for (std::size_t i = 0; i < bits.size(); ++i) bits.reveal_mutable()[i] = unit.reveal()[i % period];
    EXPECT_FALSE(tests.examine(block_of(std::move(bits))).empty()) << period;
  }
}

TEST(HealthTests, NoticesBitsThatCameBeforeWhateverTheirLength) {
  HealthTests tests = fresh_tests();
  EXPECT_EQ(tests.examine(block_of(random_bits(4096, 10))), "");
  EXPECT_EQ(tests.examine(block_of(random_bits(4096, 11))), "");
  EXPECT_EQ(tests.examine(block_of(random_bits(4096, 10))), "its bits came before under another ID");
  EXPECT_EQ(tests.examine(block_of(random_bits(2048, 11))),
            "its bits came before under another ID");  // the same beginning
  EXPECT_EQ(tests.examine(block_of(random_bits(64, 11))), "its bits came before under another ID");
}

TEST(HealthTests, LetABlockComeTwice) {
  HealthTests tests = fresh_tests();
  EXPECT_EQ(tests.examine(block_of(random_bits(4096, 10), 1)), "");
  EXPECT_EQ(tests.examine(block_of(random_bits(4096, 10), 1)), "");
  EXPECT_NE(tests.examine(block_of(random_bits(4096, 10), 2)), "");
}

TEST(HealthTests, ForgetsTheOldestBlocks) {
  HealthTests tests = fresh_tests();
  EXPECT_EQ(tests.examine(block_of(random_bits(64, 0))), "");
  for (std::uint32_t i = 1; i <= 2 * HealthTests::kRememberedBlocks; ++i) tests.examine(block_of(random_bits(64, i)));
  EXPECT_EQ(tests.examine(block_of(random_bits(64, 0))), "");
}

}  // namespace
}  // namespace qkms::drivers
