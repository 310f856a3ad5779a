#include "server/http/request_parser.h"

#include <algorithm>
#include <boost/beast/http/parser.hpp>
#include <cassert>
#include <optional>
#include <string_view>
#include <vector>

#include "server/http/header_scanner.h"
#include "server/http/secret_body.h"

namespace qkms::server::http {
namespace {

namespace beast = boost::beast;

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

Refusal refusal_for(const beast::error_code& code) {
  using beast::http::error;
  if (code == error::body_limit) return {413, "the body is too large"};
  if (code == error::header_limit) return {431, "the header is too large"};
  if (code == error::bad_version) return {400, "not HTTP/1.0 or HTTP/1.1"};
  return {400, "malformed HTTP"};
}

// RFC 9110 §5.3: several lines of one name are one list.
std::string value_or_empty(const beast::http::fields& fields, beast::http::field name) {
  std::string value;
  const auto [begin, end] = fields.equal_range(name);
  for (auto line = begin; line != end; ++line) {
    if (line != begin) value += ", ";
    value += view(line->value());
  }
  return value;
}

}  // namespace

struct RequestParser::Beast {
  HeaderScanner scanner;
  beast::http::request_parser<SecretBody> parser;
  beast::error_code error;
};

RequestParser::RequestParser(ParserLimits limits) : limits_(limits), buffer_(limits.max_header_bytes) { start_next(); }

RequestParser::~RequestParser() { wipe(buffer_); }

void RequestParser::start_next() {
  beast_ = std::make_unique<Beast>();
  beast_->parser.header_limit(limits_.max_header_bytes);
  beast_->parser.body_limit(limits_.max_body_bytes);
  beast_->parser.eager(true);
  state_ = State::kIdle;
}

std::span<std::uint8_t> RequestParser::writable() {
  if (begin_ > 0) {
    std::copy(buffer_.data() + begin_, buffer_.data() + end_, buffer_.data());
    wipe(std::span(buffer_).subspan(end_ - begin_, begin_));  // what was moved is there twice
    end_ -= std::exchange(begin_, 0);
  }
  return std::span(buffer_).subspan(end_);
}

RequestParser::State RequestParser::commit(std::size_t bytes) {
  assert(bytes <= buffer_.size() - end_);
  end_ += bytes;
  return state_ = advance();
}

RequestParser::State RequestParser::advance() {
  if (state_ == State::kComplete || state_ == State::kRejected) return state_;
  if (!beast_->parser.is_header_done()) return advance_header();
  return advance_body();
}

RequestParser::State RequestParser::reject(int status, std::string_view why) {
  refusal_ = {status, why};
  return State::kRejected;
}

// Gives the parser the next `bytes` unread bytes; what it took is gone from the buffer.
std::size_t RequestParser::put(std::size_t bytes) {
  const auto taken = beast_->parser.put({unread().data(), bytes}, beast_->error);
  if (beast_->error == beast::http::error::need_more) beast_->error = {};
  begin_ += taken;
  return taken;
}

RequestParser::State RequestParser::advance_header() {
  // RFC 9112 §2.2: empty lines before a request line are to be ignored.
  while (beast_->scanner.scanned() == 0 && end_ - begin_ >= 2 && unread()[0] == '\r' && unread()[1] == '\n')
    begin_ += 2;
  if (begin_ == end_) return State::kIdle;
  if (end_ - begin_ == 1 && unread()[0] == '\r') return State::kInHeader;
  switch (beast_->scanner.scan(unread())) {
    case HeaderScanner::State::kMalformed:
      return reject(400, "malformed header");
    case HeaderScanner::State::kTooMany:
      return reject(431, "too many header lines");
    case HeaderScanner::State::kMore:
      if (end_ - begin_ == buffer_.size()) return reject(431, "the header is too large");
      return State::kInHeader;
    case HeaderScanner::State::kEnd:
      break;
  }
  put(beast_->scanner.scanned());
  if (beast_->error) {
    const Refusal refusal = refusal_for(beast_->error);
    return reject(refusal.status, refusal.why);
  }
  if (!beast_->parser.is_header_done()) return reject(400, "malformed header");
  return finish_header();
}

RequestParser::State RequestParser::finish_header() {
  const auto& message = beast_->parser.get();
  std::vector<HeaderLine> lines;
  for (const auto& field : message) lines.push_back({view(field.name_string()), view(field.value())});
  const int version_minor = static_cast<int>(message.version() % 10);
  if (const auto refusal = check_framing(version_minor, lines)) return reject(refusal->status, refusal->why);

  // Taken now: a trailer could add to the fields later.
  request_ = Request{std::string(view(message.method_string())), std::string(view(message.target())), SecretBytes(),
                     value_or_empty(message, beast::http::field::content_type),
                     value_or_empty(message, beast::http::field::content_encoding)};
  const Persistence kept = version_minor > 0 ? Persistence::kKeepAlive : Persistence::kKeepAliveSaid;
  persistence_ = message.keep_alive() ? kept : Persistence::kClose;
  const bool waits =
      version_minor > 0 && equal_ignoring_case(value_or_empty(message, beast::http::field::expect), "100-continue");
  if (waits && begin_ == end_ && !beast_->parser.is_done()) return State::kExpectsContinue;
  return advance_body();
}

RequestParser::State RequestParser::advance_body() {
  // Beast 1.81 asserts on a last chunk that is cut within its 5 bytes. A chunked body has at least these to come until
  // it is complete, so waiting for 5 never waits for too much.
  const std::size_t least = beast_->parser.chunked() ? 5 : 1;
  while (!beast_->parser.is_done() && end_ - begin_ >= least) {
    const std::size_t from = begin_;
    const std::size_t taken = put(end_ - begin_);
    wipe(std::span(buffer_).subspan(from, taken));
    if (beast_->error) {
      const Refusal refusal = refusal_for(beast_->error);
      return reject(refusal.status, refusal.why);
    }
    if (taken == 0) break;
  }
  if (!beast_->parser.is_done()) {
    // A chunk's header or a trailer that does not fit the buffer.
    return end_ - begin_ == buffer_.size() ? reject(400, "a chunk header or trailer is too large") : State::kInBody;
  }
  request_.body = beast_->parser.get().body().take();
  return State::kComplete;
}

Request RequestParser::take() {
  assert(state_ == State::kComplete);
  Request request = std::move(request_);
  start_next();
  return request;
}

}  // namespace qkms::server::http
