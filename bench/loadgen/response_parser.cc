// The surprise: the head is read line by line and only a line cut by the end of the input is copied.
#include "bench/loadgen/response_parser.h"

#include <algorithm>
#include <charconv>

namespace qkms::bench {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool same_word(std::string_view text, std::string_view lower_case) {
  return std::ranges::equal(text, lower_case, [](char a, char b) { return lower(a) == b; });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

ResponseParser::Fed ResponseParser::feed(std::string_view input) {
  Fed fed;
  started_ = started_ || !input.empty();
  while (in_head() && fed.consumed < input.size()) fed.consumed += take_line(input.substr(fed.consumed));
  if (state_ != State::kBody) return fed;
  fed.body = input.substr(fed.consumed, std::min<std::uint64_t>(body_left_, input.size() - fed.consumed));
  fed.consumed += fed.body.size();
  body_left_ -= fed.body.size();
  if (body_left_ == 0) state_ = State::kDone;
  return fed;
}

std::size_t ResponseParser::take_line(std::string_view input) {
  const std::size_t end = input.find('\n');
  const std::string_view piece = input.substr(0, end);
  const std::size_t taken = piece.size() + (end == std::string_view::npos ? 0 : 1);
  if (line_.size() + piece.size() > kMaxLineBytes) {
    state_ = State::kBad;
  } else if (end == std::string_view::npos) {
    line_ += piece;
  } else if (line_.empty()) {
    on_line(piece);
  } else {
    line_ += piece;
    on_line(line_);
    line_.clear();
  }
  return taken;
}

void ResponseParser::on_line(std::string_view line) {
  if (line.empty() || line.back() != '\r') {
    state_ = State::kBad;
    return;
  }
  line.remove_suffix(1);
  if (state_ == State::kStatusLine) {
    on_status_line(line);
  } else if (line.empty()) {
    on_head_end();
  } else {
    on_header(line);
  }
}

// RFC 9112 §4: HTTP-version SP status-code SP [ reason-phrase ]; some servers leave out the second blank.
void ResponseParser::on_status_line(std::string_view line) {
  const std::string_view version = line.substr(0, 9);
  const std::uint64_t code = line.size() >= 12 ? number_in(line.substr(9, 3)).value_or(0) : 0;
  const bool ends_well = line.size() == 12 || (line.size() > 12 && line[12] == ' ');
  if ((version != "HTTP/1.1 " && version != "HTTP/1.0 ") || code < 100 || code > 599 || !ends_well) {
    state_ = State::kBad;
    return;
  }
  status_ = static_cast<int>(code);
  keeps_connection_ = version == "HTTP/1.1 ";
  state_ = State::kHeaders;
}

void ResponseParser::on_header(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || ++header_lines_ > kMaxHeaderLines) {
    state_ = State::kBad;
    return;
  }
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (same_word(name, "content-length")) {
    const auto length = number_in(value);
    if (!length || *length > kMaxBodyBytes || (length_ && *length_ != *length)) state_ = State::kBad;
    length_ = length;
  } else if (same_word(name, "transfer-encoding")) {
    state_ = State::kBad;
  } else if (same_word(name, "connection")) {
    if (same_word(value, "close")) keeps_connection_ = false;
    if (same_word(value, "keep-alive")) keeps_connection_ = true;
  }
}

void ResponseParser::on_head_end() {
  if (status_ < 200) {
    const bool was_started = started_;
    reset();
    started_ = was_started;
    return;
  }
  const bool never_has_body = status_ == 204 || status_ == 304;  // RFC 9112 §6.3
  if (never_has_body) {
    length_ = 0;
  } else if (!length_) {
    state_ = State::kBad;
    return;
  }
  body_left_ = *length_;
  state_ = body_left_ == 0 ? State::kDone : State::kBody;
}

}  // namespace qkms::bench
