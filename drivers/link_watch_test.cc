// T30, and the alarms of a link.
#include "drivers/link_watch.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace qkms::drivers {
namespace {

const LinkId kLink = LinkId::parse("A-B").value();
constexpr Millis kStart = 1'000'000;

LinkWatch fresh_watch() {
  LinkWatch watch(kLink, "files", false, 60'000, kStart);
  watch.state(LinkState::kRunning, {}, kStart);
  return watch;
}

std::string alarm_of(const LinkStatus& status, LinkAlarm kind) {
  const auto found = std::ranges::find(status.alarms, kind, [](const auto& alarm) { return alarm.first; });
  return found == status.alarms.end() ? "" : found->second;
}

TEST(LinkWatch, IsContentWithADeviceThatDelivers) {
  LinkWatch watch = fresh_watch();
  for (Millis now = kStart; now < kStart + 120'000; now += 1000) {
    EXPECT_EQ(watch.judge("", now), "");
    watch.let_in(12'500, now);
  }
  const LinkStatus status = watch.status(kStart + 120'000);
  EXPECT_TRUE(status.alarms.empty());
  EXPECT_EQ(status.blocks, 120u);
  EXPECT_EQ(status.bytes, 120u * 12'500);
  EXPECT_NEAR(status.rate_bps, 100'000, 2'000);
}

TEST(LinkWatch, NoticesSilence) {
  LinkWatch watch = fresh_watch();
  EXPECT_EQ(alarm_of(watch.status(kStart + 59'999), LinkAlarm::kSilent), "");
  EXPECT_EQ(alarm_of(watch.status(kStart + 60'000), LinkAlarm::kSilent), "no block for 60 s");
  watch.let_in(64, kStart + 61'000);
  EXPECT_EQ(alarm_of(watch.status(kStart + 62'000), LinkAlarm::kSilent), "");
}

TEST(LinkWatch, DistrustsADeviceUntilEnoughGoodBlocksHaveCome) {
  LinkWatch watch = fresh_watch();
  EXPECT_EQ(watch.judge("its bits came before", kStart), "its bits came before");
  for (unsigned i = 0; i < LinkWatch::kBlocksOnProbation; ++i)
    EXPECT_EQ(watch.judge("", kStart), "it comes too soon after one that was not: its bits came before");
  EXPECT_EQ(watch.judge("", kStart), "");
  EXPECT_EQ(watch.status(kStart).quarantined, 1u + LinkWatch::kBlocksOnProbation);
  EXPECT_EQ(alarm_of(watch.status(kStart), LinkAlarm::kUnhealthy), "its bits came before");
  EXPECT_EQ(alarm_of(watch.status(kStart + LinkWatch::kAlarmStaysMs), LinkAlarm::kUnhealthy), "");
}

TEST(LinkWatch, BeginsTheProbationAnewWithEachBadBlock) {
  LinkWatch watch = fresh_watch();
  watch.judge("bad", kStart);
  for (unsigned i = 0; i + 1 < LinkWatch::kBlocksOnProbation; ++i) watch.judge("", kStart);
  watch.judge("worse", kStart);
  for (unsigned i = 0; i < LinkWatch::kBlocksOnProbation; ++i) EXPECT_NE(watch.judge("", kStart), "");
  EXPECT_EQ(watch.judge("", kStart), "");
}

TEST(LinkWatch, TellsWhyTheDriverWaitsUntilTheDeviceSpeaksAgain) {
  LinkWatch watch = fresh_watch();
  watch.state(LinkState::kWaiting, "the device is gone", kStart);
  EXPECT_EQ(alarm_of(watch.status(kStart), LinkAlarm::kFailed), "the device is gone");
  watch.state(LinkState::kRunning, {}, kStart + 1000);
  EXPECT_EQ(alarm_of(watch.status(kStart + 1000), LinkAlarm::kFailed), "the device is gone");
  watch.report({});
  EXPECT_EQ(alarm_of(watch.status(kStart + 1000), LinkAlarm::kFailed), "");
  EXPECT_EQ(watch.status(kStart).restarts, 1u);
}

TEST(LinkWatch, PassesOnWhatTheDeviceSays) {
  LinkWatch watch = fresh_watch();
  watch.report({.qber = 0.12, .rate_bps = 0, .alarm = "the QBER is too high"});
  const LinkStatus status = watch.status(kStart);
  EXPECT_EQ(status.device.qber, 0.12);
  EXPECT_EQ(alarm_of(status, LinkAlarm::kDevice), "the QBER is too high");
}

TEST(LinkWatch, KeepsTheLastIncidentsAndNoMore) {
  LinkWatch watch = fresh_watch();
  for (int i = 0; i < 100; ++i) watch.rejected("file " + std::to_string(i), kStart + i);
  const LinkStatus status = watch.status(kStart);
  EXPECT_EQ(status.rejected, 100u);
  ASSERT_EQ(status.incidents.size(), LinkWatch::kIncidents);
  EXPECT_EQ(status.incidents.back().text, "file 99");
}

TEST(LinkWatch, NotesAFloodOnceAMinute) {
  LinkWatch watch = fresh_watch();
  for (int i = 0; i < 100; ++i) watch.flooding(kStart + i);
  EXPECT_EQ(watch.status(kStart).incidents.size(), 1u);
  EXPECT_FALSE(alarm_of(watch.status(kStart + 100), LinkAlarm::kFlooding).empty());
}

}  // namespace
}  // namespace qkms::drivers
