// Which alarms of links began and which ended: what the log says of them. An alarm that stays is one line, however its
// text changes ("no block for 61 s").
//
// Concurrency: one thread.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "drivers/link_watch.h"

namespace qkms::server {

class LinkAlarmLog {
 public:
  struct Line {
    bool began = false;
    std::string text;
    bool operator==(const Line&) const = default;
  };
  // For one look at all links. A link that is gone takes its alarms with it, without a line.
  std::vector<Line> changes(const std::vector<drivers::LinkStatus>& links);

 private:
  std::map<LinkId, std::vector<drivers::LinkAlarm>> raised_;
};

}  // namespace qkms::server
