// Reads HTTP/1.1 answers as they come off a connection: the status, where the body is, and whether the connection stays
// open. Only what the servers under test send: a body has a Content-Length; chunked bodies and bodies that end with the
// connection are bad.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qkms::bench {

class ResponseParser {
 public:
  static constexpr std::size_t kMaxLineBytes = 8 * 1024;
  static constexpr std::size_t kMaxHeaderLines = 100;
  static constexpr std::uint64_t kMaxBodyBytes = 1ULL << 30;

  struct Fed {
    std::size_t consumed = 0;  // bytes of the input that belong to this answer
    std::string_view body;     // the part of the input that is body: points into the input, nothing is copied
  };

  // Call again with what follows until done() or bad(). Interim answers (1xx) are passed over.
  Fed feed(std::string_view input);

  bool done() const { return state_ == State::kDone; }
  bool bad() const { return state_ == State::kBad; }
  bool started() const { return started_; }  // a byte of an answer was seen

  int status() const { return status_; }  // valid once the status line was read
  std::uint64_t body_bytes() const { return length_.value_or(0); }
  bool keeps_connection() const { return keeps_connection_; }

  void reset() { *this = ResponseParser(); }

 private:
  enum class State { kStatusLine, kHeaders, kBody, kDone, kBad };

  bool in_head() const { return state_ == State::kStatusLine || state_ == State::kHeaders; }
  std::size_t take_line(std::string_view input);
  void on_line(std::string_view line);
  void on_status_line(std::string_view line);
  void on_header(std::string_view line);
  void on_head_end();

  State state_ = State::kStatusLine;
  bool started_ = false;
  bool keeps_connection_ = true;
  int status_ = 0;
  std::size_t header_lines_ = 0;
  std::optional<std::uint64_t> length_;
  std::uint64_t body_left_ = 0;
  std::string line_;  // the front of a line whose end has not come yet
};

}  // namespace qkms::bench
