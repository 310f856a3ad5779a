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

constexpr qkms::server::http::ParserLimits kLimits{.max_header_bytes = 1024, .max_body_bytes = 4096};

struct Outcome {
  std::vector<Request> requests;
  std::vector<Persistence> persistences;
  int refused_with = 0;
};

// The parser waits until 5 bytes of a chunk's end have come (server/http/request_parser.cc), unless they come in one
// piece with the chunk: so what is refused in one way of cutting may be waited for in another, but not beyond these.
constexpr std::size_t kLatestJudgement = 5;

// Bytes that no chunk ends with, until the parser refuses them.
int refusal_of_what_waits(RequestParser& parser) {
  for (std::size_t i = 0; i < kLatestJudgement; ++i) {
    const auto space = parser.writable();
    qkms::fuzz::require(!space.empty(), "whoever waits has room");
    space.front() = 'x';
    if (parser.commit(1) == RequestParser::State::kRejected) return parser.refusal().status;
  }
  return 0;
}

void read_in_pieces(RequestParser& parser, Outcome& outcome, std::span<const std::uint8_t> bytes, std::size_t piece) {
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
      return;
    }
  }
}

bool same(const Request& a, const Request& b) {
  return a.method == b.method && a.target == b.target && a.body.equals(b.body) && a.content_type == b.content_type &&
         a.content_encoding == b.content_encoding;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using qkms::fuzz::require;
  if (size == 0) return 0;
  const std::span<const std::uint8_t> bytes(data + 1, size - 1);
  RequestParser parser_of_whole(kLimits), parser_of_cut(kLimits);
  Outcome whole, cut;
  read_in_pieces(parser_of_whole, whole, bytes, SIZE_MAX);
  read_in_pieces(parser_of_cut, cut, bytes, std::size_t{1} + data[0] % 64);
  if (whole.refused_with != 0 && cut.refused_with == 0) cut.refused_with = refusal_of_what_waits(parser_of_cut);
  if (cut.refused_with != 0 && whole.refused_with == 0) whole.refused_with = refusal_of_what_waits(parser_of_whole);
  require(std::ranges::equal(whole.requests, cut.requests, same), "the requests are the same however they come");
  require(whole.persistences == cut.persistences, "so is whether the connection goes on");
  require(whole.refused_with == cut.refused_with, "so is a refusal");
  for (const Request& request : whole.requests) require(request.body.size() <= 4096, "a body is within its limit");
  return 0;
}
