// Any bytes as a connection's stream of HTTP requests: no harm, and the same requests and the same end however the
// bytes are cut into reads. Two readers that disagree about where a request ends are what smuggling lives on.
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "fuzz/require.h"
#include "server/http/request_parser.h"

namespace {

using qkms::server::http::Persistence;
using qkms::server::http::Request;
using qkms::server::http::RequestParser;

struct Outcome {
  std::vector<Request> requests;
  std::vector<Persistence> persistences;
  int refused_with = 0;
};

Outcome read_in_pieces(std::span<const std::uint8_t> bytes, std::size_t piece) {
  RequestParser parser({.max_header_bytes = 1024, .max_body_bytes = 4096});
  Outcome outcome;
  while (!bytes.empty()) {
    const auto space = parser.writable();
    qkms::fuzz::require(!space.empty(), "there is room for more, or the request is refused");
    const auto part = bytes.first(std::min({piece, bytes.size(), space.size()}));
    std::ranges::copy(part, space.begin());
    bytes = bytes.subspan(part.size());
    auto state = parser.commit(part.size());
    while (state == RequestParser::State::kComplete) {
      outcome.persistences.push_back(parser.persistence());
      outcome.requests.push_back(parser.take());
      state = parser.resume();
    }
    if (state == RequestParser::State::kRejected) {
      outcome.refused_with = parser.refusal().status;
      return outcome;
    }
  }
  return outcome;
}

bool same(const Request& a, const Request& b) {
  return a.method == b.method && a.target == b.target && a.body == b.body && a.content_type == b.content_type &&
         a.content_encoding == b.content_encoding;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using qkms::fuzz::require;
  if (size == 0) return 0;
  // The parser waits for a few bytes more before it judges the end of a chunk: so there are always some behind.
  std::vector<std::uint8_t> bytes(data + 1, data + size);
  bytes.insert(bytes.end(), 16, 'x');
  const Outcome whole = read_in_pieces(bytes, SIZE_MAX);
  const Outcome cut = read_in_pieces(bytes, std::size_t{1} + data[0] % 64);
  require(std::ranges::equal(whole.requests, cut.requests, same), "the requests are the same however they come");
  require(whole.persistences == cut.persistences, "so is whether the connection goes on");
  require(whole.refused_with == cut.refused_with, "so is a refusal");
  for (const Request& request : whole.requests) require(request.body.size() <= 4096, "a body is within its limit");
  return 0;
}
