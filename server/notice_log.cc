#include "server/notice_log.h"

#include <utility>

namespace qkms::server {

std::optional<std::uint64_t> NoticeLog::admit(kms::NoticeKind kind, Clock::time_point now) {
  Window& window = windows_[static_cast<std::size_t>(kind)];
  if (now - window.start >= kWindow) {
    window.start = now;
    window.lines = 0;
  }
  if (window.lines >= kLinesPerWindow) {
    ++window.left_out;
    return std::nullopt;
  }
  ++window.lines;
  return std::exchange(window.left_out, 0);
}

}  // namespace qkms::server
