// Keeps the floor of the wall clock (certs/wall_clock.h) over restarts, and notices when somebody sets the clock.
//
// The file holds one number, seconds since 1970: a time that the clock has reached. What would surprise: it is not the
// latest time seen. A clock that runs ahead for a moment, before its first synchronisation, would lift the floor into
// the future and shut everybody out until then. So a time counts only when the clock has run in step with
// CLOCK_BOOTTIME for kProbationS before it. ADR 0018.
// Concurrency: one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/error.h"

namespace qkms::server {

class ClockKeeper {
 public:
  // In seconds.
  struct Reading {
    std::int64_t wall = 0;
    std::int64_t boot = 0;          // CLOCK_BOOTTIME
    std::int64_t behind_floor = 0;  // certs::seconds_behind_floor()
  };
  static Reading read_clocks();
  // Where a daemon keeps it.
  static std::filesystem::path file_in(const std::filesystem::path& state_dir) { return state_dir / "wall-clock"; }

  static constexpr std::int64_t kProbationS = 3600;
  // Two clocks that differ by more than this from what they differed by before were not slewed: one was set. And a
  // clock that is behind its floor by more is wrong.
  static constexpr std::int64_t kStepS = 60;

  explicit ClockKeeper(std::filesystem::path file) : file_(std::move(file)) {}

  // What the file says; 0 when there is none, as for a new node. A file that cannot be read, or is no such file, is an
  // error: whoever wants to be rid of a floor removes the file.
  Result<std::int64_t> start(Reading now);

  struct Seen {
    std::optional<std::int64_t> set_by_s;  // the clock was set, by so much
    std::optional<std::int64_t> reached;   // the floor from now on; it is in the file unless:
    std::optional<Error> cannot_write;
  };
  // About once a second. Writes the file at most once in kProbationS.
  Seen look(Reading now);

 private:
  Result<void> keep(std::int64_t unix_s) const;

  const std::filesystem::path file_;
  Reading in_step_since_;
};

}  // namespace qkms::server
