// Writes lines to a descriptor without ever waiting for whoever reads at its other end: a reader that hangs must not
// stop the daemon.
//
// Operation: a line is written at once when the descriptor takes it; else it waits here, and goes out, in order, with a
// later line or with write_waiting(). When too much waits, new lines are lost and counted, and the first line after
// that says how many. Concurrency: one thread at a time; lost() from any. Limits: kMostWaiting bytes wait.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace qkms::server {

class LineWriter {
 public:
  static constexpr std::size_t kMostWaiting = 1 << 20;

  // `apology` makes the line about so many lines that were lost. The descriptor is the caller's.
  LineWriter(int descriptor, std::function<std::string(std::uint64_t)> apology)
      : descriptor_(descriptor), apology_(std::move(apology)) {}

  // With its end of line.
  void write(std::string_view line);
  void write_waiting();
  // The process ends: waits for the reader, but not for longer than this.
  void finish(std::chrono::milliseconds patience);

  std::uint64_t lost() const { return lost_; }

 private:
  enum class Outcome { kWritten, kNoRoom, kFailed };
  Outcome write_some(std::string_view text, std::size_t& written) const;
  bool takes_more(std::chrono::milliseconds patience) const;
  void lose(std::uint64_t lines);

  const int descriptor_;
  const std::function<std::string(std::uint64_t)> apology_;
  std::string waiting_;  // whole lines, but for what is written of the first
  std::uint64_t not_told_ = 0;
  std::atomic<std::uint64_t> lost_ = 0;
};

}  // namespace qkms::server
