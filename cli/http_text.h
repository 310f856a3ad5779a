// Small pieces of HTTP/1.x text that answers are read by.
#pragma once

#include <charconv>
#include <string_view>
#include <system_error>

namespace qkms::cli {

bool equal_ignoring_case(std::string_view a, std::string_view b);
// Without blanks and tabs at either end.
std::string_view trimmed(std::string_view text);

// False when it is no number, or something stands behind it.
template <class Integer>
bool parse_number(std::string_view text, Integer& out, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

}  // namespace qkms::cli
