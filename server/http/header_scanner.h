// Finds the end of a request's header byte by byte, and refuses what Beast 1.81 lets through or would wait for: folded
// lines, bare line ends, control characters, too many lines. After it, the parser only ever sees whole and well-formed
// lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace qkms::server::http {

inline constexpr std::size_t kMaxHeaderLines = 100;

class HeaderScanner {
 public:
  enum class State { kMore, kEnd, kMalformed, kTooMany };

  // Looks at the bytes from where it left off; `bytes` is the header from its first byte on.
  State scan(std::span<const std::uint8_t> bytes);
  std::size_t scanned() const { return scanned_; }  // at kEnd: the header's size with its empty line

 private:
  State step(std::uint8_t byte);

  std::size_t scanned_ = 0;
  std::size_t line_bytes_ = 0;  // of the present line, its end not counted
  std::size_t lines_ = 0;
  bool after_cr_ = false;
};

}  // namespace qkms::server::http
