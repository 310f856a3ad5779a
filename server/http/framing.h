// Where a request ends is a question of security: two programs that disagree about it can be made to exchange requests
// (smuggling). These are the rules that Beast 1.81 does not enforce; each was seen to pass it.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace qkms::server::http {

struct HeaderLine {
  std::string_view name, value;
};

struct Refusal {
  int status;
  std::string_view why;
};

bool equal_ignoring_case(std::string_view a, std::string_view b);

// Nothing: the framing is beyond doubt. Else the request is answered with the status and the connection closed.
std::optional<Refusal> check_framing(int version_minor, std::span<const HeaderLine> header);

}  // namespace qkms::server::http
