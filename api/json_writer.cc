#include "api/json_writer.h"

#include <algorithm>

#include "api/utf8.h"
#include "base/text.h"

namespace qkms::api {
namespace {

// RFC 8259 §7 asks for the first two and controls below 0x20. DEL is escaped as well, for those who print a body on a
// terminal.
bool needs_escape(char c) {
  const auto byte = static_cast<std::uint8_t>(c);
  return c == '"' || c == '\\' || byte < 0x20 || byte == 0x7f;
}

void append_escaped(std::string& out, char c) {
  if (c == '"' || c == '\\') {
    out += '\\';
    out += c;
    return;
  }
  const auto byte = static_cast<std::uint8_t>(c);
  out += "\\u00";
  out += kHexDigits[byte >> 4];
  out += kHexDigits[byte & 15];
}

// Characters at the front that stand for themselves and take one byte each: of most texts, all.
std::size_t plain_length(std::string_view text) {
  const auto end =
      std::ranges::find_if(text, [](char c) { return static_cast<std::uint8_t>(c) >= 0x80 || needs_escape(c); });
  return static_cast<std::size_t>(end - text.begin());
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const std::size_t plain = plain_length(text);
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      out += "\\ufffd";
    } else if (length == 1 && needs_escape(text.front())) {
      append_escaped(out, text.front());
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

}  // namespace qkms::api
