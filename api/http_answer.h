// An HTTP answer of a server that nobody vouches for, from bytes to its parts. Lenient where a bad server is to be
// reported rather than refused, and bounded in everything. The body may hold keys, so it only ever lies in memory that
// is wiped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/secret.h"

namespace qkms::api {

inline constexpr std::size_t kMaxHeadBytes = 64 * 1024;
inline constexpr std::size_t kMaxAnswerBytes = 4 << 20;

struct HttpHeader {
  std::string name, value;  // as they came
};

enum class BodyEnd { kContentLength, kChunks, kClose };

struct HttpAnswer {
  int status = 0;
  std::vector<HttpHeader> headers;
  SecretBytes body;
  BodyEnd body_end = BodyEnd::kClose;
  bool keeps_connection = false;
  std::size_t bytes = 0;  // of all that was received, what belongs to it and to those before it

  // The value of the first header of that name, in any case; "" when there is none.
  std::string_view header(std::string_view name) const;
};

// Bytes that grow as they come and are wiped wherever they were.
class SecretBuffer {
 public:
  // Room for at least `size` more bytes.
  std::span<std::uint8_t> room(std::size_t size);
  void grow(std::size_t written) { size_ += written; }
  std::size_t size() const { return size_; }
  std::span<const std::uint8_t> bytes() const { return bytes_.reveal().first(size_); }
  // The same bytes as text, for looking at them; owned by this buffer.
  std::string_view view() const;

 private:
  SecretBytes bytes_;
  std::size_t size_ = 0;
};

enum class Stream { kOpen, kClosed };

// The answer once all of it is there; nothing while more has to come. kCorrupt when it is no HTTP/1 answer, too large,
// or cut by the server's close. Interim answers (1xx) are passed over.
Result<std::optional<HttpAnswer>> read_answer(const SecretBuffer& received, Stream stream);

}  // namespace qkms::api
