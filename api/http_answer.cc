#include "api/http_answer.h"

#include <algorithm>
#include <cstring>

#include "api/http_text.h"

namespace qkms::api {

namespace {

constexpr std::size_t kFirstBufferBytes = 16 * 1024;

std::unexpected<Error> malformed(std::string_view what) {
  return fail(ErrorCode::kCorrupt, "the answer is malformed: " + std::string(what));
}

// The head of an answer, without the empty line behind it.
Result<HttpAnswer> read_head(std::string_view head) {
  HttpAnswer out;
  const auto line = head.substr(0, head.find("\r\n"));
  const bool is_1_1 = line.starts_with("HTTP/1.1 ");
  if ((!is_1_1 && !line.starts_with("HTTP/1.0 ")) || line.size() < 12 || !parse_number(line.substr(9, 3), out.status) ||
      out.status < 100)
    return malformed("no status line");
  head.remove_prefix(std::min(line.size() + 2, head.size()));
  while (!head.empty()) {
    const auto next = head.substr(0, head.find("\r\n"));
    const auto colon = next.find(':');
    if (colon == std::string_view::npos) return malformed("a header without a colon");
    out.headers.push_back({std::string(next.substr(0, colon)), std::string(trimmed(next.substr(colon + 1)))});
    head.remove_prefix(std::min(next.size() + 2, head.size()));
  }
  out.keeps_connection = is_1_1 && !equal_ignoring_case(out.header("Connection"), "close");
  return out;
}

SecretBytes copy_of(std::string_view text) {
  SecretBytes out(text.size());
  if (!text.empty()) std::memcpy(out.reveal_mutable().data(), text.data(), text.size());
  return out;
}

struct Body {
  SecretBytes bytes;
  std::size_t taken = 0;  // of what was received
};
using OrMore = Result<std::optional<Body>>;  // nothing: more has to come

// RFC 9112 §7.1; extensions and trailers are passed over.
OrMore read_chunks(const std::string_view received) {
  std::string_view bytes = received;
  SecretBuffer out;
  while (true) {
    const auto end = bytes.find("\r\n");
    if (end == std::string_view::npos) return OrMore();
    std::size_t size = 0;
    if (!parse_number(trimmed(bytes.substr(0, std::min(end, bytes.find(';')))), size, 16))
      return malformed("a chunk without a size");
    bytes.remove_prefix(end + 2);
    if (size == 0) {
      const std::size_t trailers = bytes.starts_with("\r\n") ? 0 : bytes.find("\r\n\r\n");
      if (trailers == std::string_view::npos) return OrMore();
      const std::size_t end_bytes = trailers == 0 ? 2 : trailers + 4;
      return Body{SecretBytes::copy_of(out.bytes()), received.size() - bytes.size() + end_bytes};
    }
    if (size > bytes.size() || bytes.size() - size < 2) return OrMore();
    std::memcpy(out.room(size).data(), bytes.data(), size);
    out.grow(size);
    if (bytes.substr(size, 2) != "\r\n") return malformed("a chunk does not end");
    bytes.remove_prefix(size + 2);
  }
}

OrMore read_body(HttpAnswer& answer, std::string_view bytes, Stream stream) {
  if (answer.status == 204 || answer.status == 304) return Body();
  if (equal_ignoring_case(answer.header("Transfer-Encoding"), "chunked")) {
    answer.body_end = BodyEnd::kChunks;
    return read_chunks(bytes);
  }
  const auto stated = answer.header("Content-Length");
  if (!stated.empty()) {
    answer.body_end = BodyEnd::kContentLength;
    std::size_t size = 0;
    if (!parse_number(stated, size) || size > kMaxAnswerBytes) return malformed("its Content-Length");
    if (size > bytes.size()) return OrMore();
    return Body{copy_of(bytes.substr(0, size)), size};
  }
  answer.keeps_connection = false;
  if (stream == Stream::kOpen) return OrMore();
  return Body{copy_of(bytes), bytes.size()};
}

}  // namespace

std::string_view HttpAnswer::header(std::string_view name) const {
  const auto found =
      std::ranges::find_if(headers, [&](const auto& one) { return equal_ignoring_case(one.name, name); });
  return found == headers.end() ? std::string_view() : std::string_view(found->value);
}

std::span<std::uint8_t> SecretBuffer::room(std::size_t size) {
  if (bytes_.size() - size_ < size) {
    SecretBytes larger(std::max({bytes_.size() * 2, size_ + size, kFirstBufferBytes}));
    std::ranges::copy(bytes(), larger.reveal_mutable().begin());
    bytes_ = std::move(larger);
  }
  return bytes_.reveal_mutable().subspan(size_);
}

std::string_view SecretBuffer::view() const { return {reinterpret_cast<const char*>(bytes_.reveal().data()), size_}; }

Result<std::optional<HttpAnswer>> read_answer(const SecretBuffer& received, Stream stream) {
  std::string_view bytes = received.view();
  if (bytes.size() > kMaxAnswerBytes) return malformed("it is too large");
  const auto unfinished = [stream]() -> Result<std::optional<HttpAnswer>> {
    if (stream == Stream::kClosed) return malformed("the server closed before its end");
    return std::optional<HttpAnswer>();
  };
  while (true) {
    const auto end = bytes.find("\r\n\r\n");
    if (std::min(end, bytes.size()) > kMaxHeadBytes) return malformed("its head is too large");
    if (end == std::string_view::npos) return unfinished();
    auto answer = read_head(bytes.substr(0, end));
    if (!answer) return std::unexpected(answer.error());
    bytes.remove_prefix(end + 4);
    if (answer->status < 200) continue;
    auto body = read_body(*answer, bytes, stream);
    if (!body) return std::unexpected(body.error());
    if (!*body) return unfinished();
    answer->body = std::move((*body)->bytes);
    answer->bytes = received.size() - bytes.size() + (*body)->taken;
    return std::optional<HttpAnswer>(std::move(*answer));
  }
}

}  // namespace qkms::api
