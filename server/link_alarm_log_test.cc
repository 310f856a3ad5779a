#include "server/link_alarm_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace qkms::server {
namespace {

using drivers::LinkAlarm;
using testing::ElementsAre;
using testing::IsEmpty;
using Line = LinkAlarmLog::Line;

drivers::LinkStatus link(const std::string& name, std::vector<std::pair<LinkAlarm, std::string>> alarms) {
  drivers::LinkStatus status;
  status.link = *LinkId::parse(name);
  status.alarms = std::move(alarms);
  return status;
}

TEST(LinkAlarmLog, SaysWhatBeganAndWhatEndedOnce) {
  LinkAlarmLog log;
  EXPECT_THAT(log.changes({link("link-ab", {}), link("link-ac", {})}), IsEmpty());
  EXPECT_THAT(log.changes({link("link-ab", {{LinkAlarm::kSilent, "no block for 60 s"}}), link("link-ac", {})}),
              ElementsAre(Line{true, "link link-ab: silent: no block for 60 s"}));
  EXPECT_THAT(log.changes({link("link-ab", {{LinkAlarm::kSilent, "no block for 61 s"}}), link("link-ac", {})}),
              IsEmpty());
  EXPECT_THAT(log.changes({link("link-ab", {{LinkAlarm::kFailed, "the folder is gone"}}), link("link-ac", {})}),
              ElementsAre(Line{true, "link link-ab: failed: the folder is gone"},
                          Line{false, "link link-ab: no longer silent"}));
}

TEST(LinkAlarmLog, ForgetsALinkThatIsGone) {
  LinkAlarmLog log;
  const auto broken = link("link-ab", {{LinkAlarm::kFailed, "refused"}});
  EXPECT_EQ(log.changes({broken}).size(), 1u);
  EXPECT_THAT(log.changes({}), IsEmpty());
  EXPECT_EQ(log.changes({broken}).size(), 1u) << "one of that name that comes anew is another";
}

}  // namespace
}  // namespace qkms::server
