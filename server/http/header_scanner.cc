#include "server/http/header_scanner.h"

namespace qkms::server::http {

HeaderScanner::State HeaderScanner::step(std::uint8_t byte) {
  if (after_cr_) {
    after_cr_ = false;
    if (byte != '\n') return State::kMalformed;  // RFC 9112 §2.2: a bare CR is invalid
    if (line_bytes_ == 0) return State::kEnd;
    line_bytes_ = 0;
    return ++lines_ > kMaxHeaderLines + 1 ? State::kTooMany : State::kMore;  // one is the request line
  }
  if (byte == '\r') {
    after_cr_ = true;
    return State::kMore;
  }
  const bool blank = byte == ' ' || byte == '\t';
  if (blank && line_bytes_ == 0) return State::kMalformed;  // RFC 9112 §5.2: folded lines are to be refused
  if ((byte < 0x20 && !blank) || byte == 0x7f) return State::kMalformed;  // also a bare LF
  ++line_bytes_;
  return State::kMore;
}

HeaderScanner::State HeaderScanner::scan(std::span<const std::uint8_t> bytes) {
  while (scanned_ < bytes.size()) {
    const State state = step(bytes[scanned_++]);
    if (state != State::kMore) return state;
  }
  return State::kMore;
}

}  // namespace qkms::server::http
