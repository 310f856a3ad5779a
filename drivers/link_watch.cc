#include "drivers/link_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace qkms::drivers {
namespace {

constexpr Millis kRateWindowMs = 60'000;

}  // namespace

std::string_view name_of(LinkState state) {
  constexpr std::array<std::string_view, 4> kNames = {"running", "waiting", "hung", "stopped"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string_view name_of(LinkAlarm alarm) {
  constexpr std::array<std::string_view, kLinkAlarms> kNames = {"failed",   "silent",   "unhealthy",
                                                                "flooding", "mismatch", "device"};
  return kNames[static_cast<std::size_t>(alarm)];
}

LinkWatch::LinkWatch(LinkId link, std::string driver, bool simulated, Millis silence_ms, Millis now)
    : silence_ms_(silence_ms), began_(now) {
  status_.link = std::move(link);
  status_.driver = std::move(driver);
  status_.simulated = simulated;
}

void LinkWatch::note(std::string text, Millis now) {
  status_.incidents.push_back({now, std::move(text)});
  if (status_.incidents.size() > kIncidents) status_.incidents.pop_front();
}

void LinkWatch::state(LinkState state, std::string error, Millis now) {
  if (!error.empty() && error != status_.error) note(error, now);
  if (state == LinkState::kWaiting) ++status_.restarts;
  status_.state = state;
  if (state != LinkState::kRunning) status_.error = std::move(error);
}

std::string LinkWatch::judge(const std::string& why, Millis now) {
  if (!why.empty()) {
    unhealthy_at_ = now;
    probation_ = kBlocksOnProbation;
    distrust_ = why;
    ++status_.quarantined;
    note(why, now);
    return why;
  }
  if (probation_ == 0) return {};
  --probation_;
  unhealthy_at_ = now;
  ++status_.quarantined;
  return fmt::format("it comes too soon after one that was not: {}", distrust_);
}

void LinkWatch::let_in(std::size_t bytes, Millis now) {
  status_.error.clear();
  ++status_.blocks;
  status_.bytes += bytes;
  status_.last_block_at = now;
  const Millis second = now / 1000;
  if (recent_.empty() || recent_.back().first != second) recent_.emplace_back(second, 0);
  recent_.back().second += bytes;
  while (recent_.front().first < second - kRateWindowMs / 1000) recent_.pop_front();
}

void LinkWatch::rejected(std::string why, Millis now) {
  ++status_.rejected;
  note(std::move(why), now);
}

void LinkWatch::flooding(Millis now) {
  if (!recent(flooding_at_, now)) note("it delivers faster than max_rate_bps", now);
  flooding_at_ = now;
}

void LinkWatch::mismatched(Millis now) {
  if (!recent(mismatched_at_, now)) note("the other end has other bits under the same block ID", now);
  mismatched_at_ = now;
}

void LinkWatch::report(DeviceReport report) {
  status_.error.clear();
  status_.device = std::move(report);
}

LinkStatus LinkWatch::status(Millis now) const {
  LinkStatus status = status_;
  std::uint64_t bytes = 0;
  for (const auto& [second, count] : recent_) {
    if (second >= (now - kRateWindowMs) / 1000) bytes += count;
  }
  const Millis span = std::clamp<Millis>(now - began_, 1000, kRateWindowMs);
  status.rate_bps = static_cast<double>(bytes) * 8 * 1000 / static_cast<double>(span);
  const auto raise = [&status](LinkAlarm alarm, std::string text) {
    status.alarms.emplace_back(alarm, std::move(text));
  };
  if (!status.error.empty()) raise(LinkAlarm::kFailed, status.error);
  const Millis quiet = now - status.last_block_at.value_or(began_);
  if (silence_ms_ > 0 && quiet >= silence_ms_)
    raise(LinkAlarm::kSilent, fmt::format("no block for {} s", quiet / 1000));
  if (recent(unhealthy_at_, now)) raise(LinkAlarm::kUnhealthy, distrust_);
  if (recent(flooding_at_, now)) raise(LinkAlarm::kFlooding, "it delivers faster than max_rate_bps; it is slowed down");
  if (recent(mismatched_at_, now)) raise(LinkAlarm::kMismatch, "the other end has other bits under the same block ID");
  if (!status.device.alarm.empty()) raise(LinkAlarm::kDevice, status.device.alarm);
  return status;
}

}  // namespace qkms::drivers
