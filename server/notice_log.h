// Writes the engine's notices to the log, but not more of one kind than a person can read: a device that floods, or a
// peer that flaps, must not fill the disk. What was left out is counted in the next line of its kind; metrics count all
// of them.
//
// Concurrency: one thread, the engine's.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

#include "kms/event.h"

namespace qkms::server {

class NoticeLog {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr unsigned kLinesPerWindow = 20;
  static constexpr std::chrono::seconds kWindow{10};

  // How many of this kind were left out since its last line, or nothing when this one is to be left out too.
  std::optional<std::uint64_t> admit(kms::NoticeKind kind, Clock::time_point now);

 private:
  struct Window {
    Clock::time_point start{};
    unsigned lines = 0;
    std::uint64_t left_out = 0;
  };
  std::array<Window, kms::kNoticeKinds> windows_{};
};

}  // namespace qkms::server
