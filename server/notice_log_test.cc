#include "server/notice_log.h"

#include <gtest/gtest.h>

namespace qkms::server {
namespace {

using kms::NoticeKind;

TEST(NoticeLog, LeavesOutWhatNobodyCouldRead) {
  NoticeLog log;
  const NoticeLog::Clock::time_point start{std::chrono::hours(1)};
  for (unsigned i = 0; i < NoticeLog::kLinesPerWindow; ++i) EXPECT_EQ(log.admit(NoticeKind::kBlockRefused, start), 0u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(log.admit(NoticeKind::kBlockRefused, start), std::nullopt);
  EXPECT_EQ(log.admit(NoticeKind::kPairReset, start), 0u) << "each kind has a window of its own";
  EXPECT_EQ(log.admit(NoticeKind::kBlockRefused, start + NoticeLog::kWindow), 5u);
  EXPECT_EQ(log.admit(NoticeKind::kBlockRefused, start + NoticeLog::kWindow), 0u);
}

}  // namespace
}  // namespace qkms::server
