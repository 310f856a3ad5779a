#include "server/link_alarm_log.h"

#include <fmt/format.h>

#include <algorithm>

namespace qkms::server {

std::vector<LinkAlarmLog::Line> LinkAlarmLog::changes(const std::vector<drivers::LinkStatus>& links) {
  std::vector<Line> lines;
  std::map<LinkId, std::vector<drivers::LinkAlarm>> raised;
  for (const drivers::LinkStatus& status : links) {
    const std::vector<drivers::LinkAlarm>& before = raised_[status.link];
    std::vector<drivers::LinkAlarm>& now = raised[status.link];
    for (const auto& [alarm, text] : status.alarms) {
      now.push_back(alarm);
      if (std::ranges::find(before, alarm) == before.end())
        lines.push_back({true, fmt::format("link {}: {}: {}", status.link.str(), drivers::name_of(alarm), text)});
    }
    for (const drivers::LinkAlarm alarm : before) {
      if (std::ranges::find(now, alarm) == now.end())
        lines.push_back({false, fmt::format("link {}: no longer {}", status.link.str(), drivers::name_of(alarm))});
    }
  }
  raised_ = std::move(raised);
  return lines;
}

}  // namespace qkms::server
