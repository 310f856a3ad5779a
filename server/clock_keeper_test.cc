// T32: a time becomes the floor only after the clock has proved itself, and is there after a restart.
#include "server/clock_keeper.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "storage/scratch_folder.h"

namespace qkms::server {
namespace {

constexpr std::int64_t kHour = 3600;

class ClockKeeperTest : public ::testing::Test {
 protected:
  ClockKeeperTest() { EXPECT_EQ(keeper_.start(now_), 0); }

  // Looks once a minute.
  ClockKeeper::Seen pass(std::int64_t seconds) {
    ClockKeeper::Seen seen;
    for (std::int64_t passed = 0; passed < seconds; passed += 60) {
      now_.boot += 60;
      now_.wall += 60;
      const auto one = keeper_.look(now_);
      if (one.set_by_s) seen.set_by_s = one.set_by_s;
      if (one.reached) seen.reached = one.reached;
      if (one.cannot_write) seen.cannot_write = one.cannot_write;
    }
    return seen;
  }
  void write(std::string_view text) const { std::ofstream(file_) << text; }
  std::string text() const {
    std::ifstream in(file_);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  storage::ScratchFolder folder_;
  std::filesystem::path file_ = folder_.path() / "wall-clock";
  ClockKeeper::Reading now_{1'800'000'000, 1000, 0};
  ClockKeeper keeper_{file_};
};

TEST_F(ClockKeeperTest, WritesATimeThatTheClockReachedInStep) {
  pass(kHour - 120);
  EXPECT_EQ(text(), "");
  EXPECT_FALSE(pass(kHour).set_by_s);
  ASSERT_NE(text(), "");
  EXPECT_LE(std::stoll(text()), now_.wall);
  EXPECT_GT(std::stoll(text()), now_.wall - kHour);
}

TEST_F(ClockKeeperTest, WritesNothingForAnHourAfterTheClockWasSet) {
  pass(kHour - 120);
  now_.wall += 400 * 24 * kHour;
  const auto seen = pass(60);
  ASSERT_TRUE(seen.set_by_s);
  EXPECT_EQ(*seen.set_by_s, 400 * 24 * kHour);
  now_.wall -= 400 * 24 * kHour;
  EXPECT_EQ(pass(60).set_by_s, -400 * 24 * kHour);
  pass(kHour - 180);
  EXPECT_EQ(text(), "");  // no trace of the year that was not
}

TEST_F(ClockKeeperTest, DoesNotMindAClockThatIsSlewed) {
  for (int hour = 0; hour < 100; ++hour) {
    now_.wall += 2;  // 500 parts per million, as much as adjtimex() does
    EXPECT_FALSE(pass(kHour).set_by_s);
  }
}

TEST_F(ClockKeeperTest, SaysWhenItCannotWrite) {
  ClockKeeper lost(folder_.path() / "nowhere" / "wall-clock");
  ASSERT_EQ(lost.start(now_), 0);
  const auto seen = lost.look({now_.wall + kHour, now_.boot + kHour, 0});
  EXPECT_TRUE(seen.reached);  // it counts until the process ends
  EXPECT_TRUE(seen.cannot_write);
}

TEST_F(ClockKeeperTest, RefusesAFileThatIsNoTime) {
  for (const char* text : {"", "yesterday", "12 ", "-5", "1e9", "99999999999999999999"}) {
    write(text);
    const auto started = ClockKeeper(file_).start(now_);
    ASSERT_FALSE(started) << text;
    EXPECT_EQ(started.error().code, ErrorCode::kInvalid);
  }
}

TEST_F(ClockKeeperTest, FindsAfterARestartWhatItWrote) {
  EXPECT_EQ(ClockKeeper(file_).start(now_), 0);
  const auto seen = pass(kHour);
  ASSERT_TRUE(seen.reached);
  EXPECT_EQ(ClockKeeper(file_).start(now_), *seen.reached);
}

TEST_F(ClockKeeperTest, LearnsNothingFromAClockThatIsBehindTheFloor) {
  write("5\n");
  now_.behind_floor = 1;
  EXPECT_FALSE(pass(3 * kHour).reached);
  EXPECT_EQ(text(), "5\n");
}

}  // namespace
}  // namespace qkms::server
