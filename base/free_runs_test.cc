#include "base/free_runs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <random>

namespace qkms {
namespace {

constexpr std::size_t kBytes = 64 * 1024;

class FreeRunsTest : public ::testing::Test {
 protected:
  std::vector<std::uint8_t> memory_ = std::vector<std::uint8_t>(kBytes);
  FreeRuns runs_{memory_.data(), kBytes};
};

bool all_zero(const std::uint8_t* from, std::size_t bytes) {
  return std::all_of(from, from + bytes, [](std::uint8_t byte) { return byte == 0; });
}

TEST_F(FreeRunsTest, HandsOutAllOfItsMemoryAndNotMore) {
  EXPECT_EQ(runs_.take(kBytes + 1), nullptr);
  EXPECT_EQ(runs_.take(kBytes), memory_.data());
  EXPECT_EQ(runs_.take(1), nullptr);
  runs_.give_back(memory_.data(), kBytes);
  EXPECT_TRUE(runs_.all_free());
}

TEST_F(FreeRunsTest, JoinsWhatIsGivenBackWithBothNeighbours) {
  std::uint8_t* const first = runs_.take(100);
  std::uint8_t* const second = runs_.take(100);
  std::uint8_t* const third = runs_.take(100);
  runs_.give_back(first, 100);
  runs_.give_back(third, 100);
  EXPECT_EQ(runs_.take(kBytes), nullptr);
  runs_.give_back(second, 100);
  EXPECT_NE(runs_.take(kBytes), nullptr);
}

// Against a model: what is out never overlaps, is zero when it comes, keeps what was written, and in the end all of it
// is one run again.
TEST_F(FreeRunsTest, KeepsRunsApartThroughManyTakingsAndGivings) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::map<std::uint8_t*, std::pair<std::size_t, std::uint8_t>> out;
  const auto give_back = [&](auto one) {
    const auto [bytes, mark] = one->second;
    ASSERT_TRUE(std::all_of(one->first, one->first + bytes, [m = mark](std::uint8_t byte) { return byte == m; }));
    std::fill_n(one->first, bytes, std::uint8_t{0});
    runs_.give_back(one->first, bytes);
    out.erase(one);
  };
  for (int i = 0; i < 20'000; ++i) {
    if (!out.empty() && random() % 2 == 0) {
      give_back(std::next(out.begin(), static_cast<std::ptrdiff_t>(random() % out.size())));
      continue;
    }
    const std::size_t bytes = 1 + random() % (random() % 8 == 0 ? 8192 : 128);
    std::uint8_t* const memory = runs_.take(bytes);
    if (memory == nullptr) continue;
    ASSERT_TRUE(all_zero(memory, bytes));
    ASSERT_GE(memory, memory_.data());
    ASSERT_LE(memory + bytes, memory_.data() + kBytes);
    const auto behind = out.lower_bound(memory);
    ASSERT_TRUE(behind == out.end() || memory + bytes <= behind->first);
    ASSERT_TRUE(behind == out.begin() || std::prev(behind)->first + std::prev(behind)->second.first <= memory);
    const auto mark = static_cast<std::uint8_t>(1 + random() % 255);
    std::fill_n(memory, bytes, mark);
    out.emplace(memory, std::pair(bytes, mark));
  }
  while (!out.empty()) give_back(out.begin());
  EXPECT_TRUE(runs_.all_free());
  EXPECT_NE(runs_.take(kBytes), nullptr);
}

}  // namespace
}  // namespace qkms
