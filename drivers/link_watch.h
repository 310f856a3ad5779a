// What is known of a link's device: counts, figures, and what is wrong. A pure account: whoever holds it tells the
// time, in milliseconds of a clock that does not run backwards.
//
// Concurrency: one thread, or a lock around it.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/time.h"
#include "drivers/device_report.h"

namespace qkms::drivers {

enum class LinkState {
  kRunning,  // the driver runs; alarms say whether the device does what it should
  kWaiting,  // it ended with an error, and is tried again after a while
  kHung,     // it was told to stop and does not
  kStopped,
};
std::string_view name_of(LinkState state);

// One closed set for metrics, log and `qkmsctl link`.
enum class LinkAlarm {
  kFailed,     // the driver cannot go on: the device is gone, refuses us, or makes no sense
  kSilent,     // no block for longer than silence_ms
  kUnhealthy,  // its bits failed a health test
  kFlooding,   // it delivers more than max_rate_bps
  kMismatch,   // the other end had other bits under the same ID
  kDevice,     // it says so itself
};
inline constexpr std::size_t kLinkAlarms = static_cast<std::size_t>(LinkAlarm::kDevice) + 1;
std::string_view name_of(LinkAlarm alarm);

struct Incident {
  Millis at = 0;
  std::string text;
};

struct LinkStatus {
  LinkId link;
  std::string driver;
  bool simulated = false;
  LinkState state = LinkState::kStopped;
  std::string error;  // why the driver waits
  std::uint64_t restarts = 0;
  std::uint64_t blocks = 0, bytes = 0;  // let in
  std::uint64_t quarantined = 0;        // blocks that failed a health test, or came while the link was distrusted
  std::uint64_t rejected = 0;           // what came and was no block
  std::optional<Millis> last_block_at;
  std::string held;     // why a block waits; empty: none does
  double rate_bps = 0;  // of blocks let in, over about the last minute
  DeviceReport device;
  std::vector<std::pair<LinkAlarm, std::string>> alarms;
  std::deque<Incident> incidents;  // the last kIncidents, oldest first
};

class LinkWatch {
 public:
  static constexpr std::size_t kIncidents = 16;
  // After a block that failed its tests the link is distrusted until so many in a row have passed, and these are not
  // let in either.
  static constexpr unsigned kBlocksOnProbation = 8;
  static constexpr Millis kAlarmStaysMs = 60'000;  // an alarm about one event, after the last such event

  LinkWatch(LinkId link, std::string driver, bool simulated, Millis silence_ms, Millis now);

  void state(LinkState state, std::string error, Millis now);
  // Whether this block may go in. `why` is what its health tests said, empty if nothing. Empty: it may.
  std::string judge(const std::string& why, Millis now);
  void let_in(std::size_t bytes, Millis now);
  void rejected(std::string why, Millis now);
  void hold(std::string why) { status_.held = std::move(why); }
  void flooding(Millis now);
  void mismatched(Millis now);
  // A device that speaks is there.
  void report(DeviceReport report);

  LinkStatus status(Millis now) const;

 private:
  void note(std::string text, Millis now);
  bool recent(std::optional<Millis> at, Millis now) const { return at && now - *at < kAlarmStaysMs; }

  LinkStatus status_;
  const Millis silence_ms_;
  const Millis began_;
  unsigned probation_ = 0;
  std::string distrust_;
  std::optional<Millis> unhealthy_at_, flooding_at_, mismatched_at_;
  std::deque<std::pair<Millis, std::size_t>> recent_;  // seconds and the bytes let in in them
};

}  // namespace qkms::drivers
