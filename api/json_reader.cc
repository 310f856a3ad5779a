#include "api/json_reader.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "api/repetition.h"
#include "api/utf8.h"
#include "base/text.h"

namespace qkms::api {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Where the characters go of a string that is not copied.
struct Nowhere {
  void operator+=(char) {}
  void operator+=(std::string_view) {}
};

template <class Out>
void append_utf8(Out& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6), put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12), put(0x80 | (code >> 6 & 0x3f)), put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18), put(0x80 | (code >> 12 & 0x3f)), put(0x80 | (code >> 6 & 0x3f)), put(0x80 | (code & 0x3f));
  }
}

// Recursive descent over the text; recursion is bounded by max_depth. Every read_ function starts at its first byte,
// and returns false after having noted a problem.
class Reader {
 public:
  Reader(std::string_view text, JsonLimits limits, std::string_view in_place)
      : text_(text), in_place_(in_place), limits_(limits) {}

  Result<JsonValue> read() {
    JsonValue value;
    skip_blanks();
    if (!read_value(value, 0)) return error();
    skip_blanks();
    if (at_ != text_.size()) {
      note("something follows the value");
      return error();
    }
    return value;
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool note(const char* problem) {
    problem_ = problem;
    return false;
  }

  std::unexpected<Error> error() const {
    return fail(ErrorCode::kInvalid,
                std::string("not acceptable JSON: ") + problem_ + " (byte " + std::to_string(at_) + ")");
  }

  void skip_blanks() {
    while (at_ < text_.size() && std::string_view(" \t\n\r").contains(text_[at_])) ++at_;
  }

  bool take(char expected) {
    if (at_ >= text_.size() || text_[at_] != expected) return false;
    ++at_;
    return true;
  }

  bool read_value(JsonValue& out, std::size_t depth) {
    if (++values_ > limits_.max_values) return note("too many values");
    switch (peek()) {
      case '{':
        return read_object(out.data.emplace<JsonObject>(), depth + 1);
      case '[':
        return read_array(out.data.emplace<JsonArray>(), depth + 1);
      case '"':
        return read_string(out.data.emplace<std::string>());
      case 't':
        out.data = true;
        return read_word("true");
      case 'f':
        out.data = false;
        return read_word("false");
      case 'n':
        out.data = nullptr;
        return read_word("null");
      default:
        return read_number(out);
    }
  }

  bool read_word(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return note("no value starts like this");
    at_ += word.size();
    return true;
  }

  bool read_object(JsonObject& out, std::size_t depth) {
    if (depth > limits_.max_depth) return note("nested too deeply");
    take('{');
    skip_blanks();
    if (take('}')) return true;
    while (true) {
      skip_blanks();
      JsonMember& member = out.emplace_back();
      if (peek() != '"') return note("a member's name is expected");
      if (!read_string(member.name)) return false;
      skip_blanks();
      if (!take(':')) return note("a colon is expected");
      skip_blanks();
      if (!read_member(member, depth)) return false;
      skip_blanks();
      if (take(',')) continue;
      if (!take('}')) return note("a comma or a closing brace is expected");
      return has_repetition(out, &JsonMember::name) ? note("an object ends here that has two members of one name")
                                                    : true;
    }
  }

  bool read_member(JsonMember& member, std::size_t depth) {
    if (in_place_.empty() || member.name != in_place_ || peek() != '"') return read_value(member.value, depth);
    if (++values_ > limits_.max_values) return note("too many values");
    const std::size_t start = at_ + 1;
    Nowhere nowhere;
    if (!read_string(nowhere)) return false;
    member.value.data = JsonInPlace{text_.substr(start, at_ - 1 - start)};
    return true;
  }

  bool read_array(JsonArray& out, std::size_t depth) {
    if (depth > limits_.max_depth) return note("nested too deeply");
    take('[');
    skip_blanks();
    if (take(']')) return true;
    while (true) {
      skip_blanks();
      if (!read_value(out.emplace_back(), depth)) return false;
      skip_blanks();
      if (take(',')) continue;
      return take(']') ? true : note("a comma or a closing bracket is expected");
    }
  }

  template <class Out>
  bool read_string(Out& out) {
    take('"');
    while (true) {
      append_plain_run(out);
      if (at_ == text_.size()) return note("a string does not end");
      if (take('"')) return true;
      if (take('\\')) {
        if (!read_escape(out)) return false;
        continue;
      }
      const std::size_t length = utf8_length(text_.substr(at_));
      if (length == 0) return note("this is not UTF-8");
      if (length == 1) return note("a control character in a string");
      out += text_.substr(at_, length);
      at_ += length;
    }
  }

  // Most strings are plain ASCII from end to end: those go in one piece.
  template <class Out>
  void append_plain_run(Out& out) {
    const auto is_plain = [](char c) {
      const auto byte = static_cast<std::uint8_t>(c);
      return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
    };
    const std::size_t start = at_;
    while (at_ < text_.size() && is_plain(text_[at_])) ++at_;
    out += text_.substr(start, at_ - start);
  }

  template <class Out>
  bool read_escape(Out& out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (take('u')) return read_unicode_escape(out);
    const std::size_t which = at_ < text_.size() ? kLetters.find(text_[at_]) : std::string_view::npos;
    if (which == std::string_view::npos) return note("an unknown escape");
    out += kMeanings[which];
    ++at_;
    return true;
  }

  template <class Out>
  bool read_unicode_escape(Out& out) {
    std::optional<std::uint32_t> code = read_four_digits();
    if (!code) return note("four hexadecimal digits are expected");
    if (*code == 0) return note("a NUL in a string");
    if (*code >= 0xdc00 && *code <= 0xdfff) return note("half of a surrogate pair");
    if (*code >= 0xd800 && *code <= 0xdbff) {
      if (!take('\\') || !take('u')) return note("half of a surrogate pair");
      const std::optional<std::uint32_t> low = read_four_digits();
      if (!low || *low < 0xdc00 || *low > 0xdfff) return note("half of a surrogate pair");
      code = 0x10000 + ((*code - 0xd800) << 10) + (*low - 0xdc00);
    }
    append_utf8(out, *code);
    return true;
  }

  std::optional<std::uint32_t> read_four_digits() {
    if (text_.size() - at_ < 4) return std::nullopt;
    std::uint32_t code = 0;
    for (const char c : text_.substr(at_, 4)) {
      const int digit = hex_value(c);
      if (digit < 0) return std::nullopt;
      code = code << 4 | static_cast<std::uint32_t>(digit);
    }
    at_ += 4;
    return code;
  }

  // RFC 8259 §6. Plain integers get their value; of the rest only the form is checked.
  bool read_number(JsonValue& out) {
    const std::size_t start = at_;
    take('-');
    if (!is_digit(peek())) return note("no value starts like this");
    if (take('0')) {
      if (is_digit(peek())) return note("a number with a leading zero");
    } else {
      skip_digits();
    }
    const std::string_view integer = text_.substr(start, at_ - start);
    if (!read_fraction_and_exponent()) return false;
    std::int64_t value = 0;
    const bool fits = std::from_chars(integer.data(), integer.data() + integer.size(), value).ec == std::errc();
    if (fits && at_ == start + integer.size() && integer != "-0") {
      out.data = value;
    } else {
      out.data = JsonOtherNumber{};
    }
    return true;
  }

  bool read_fraction_and_exponent() {
    if (take('.') && !skip_digits()) return note("a digit is expected");
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      if (!skip_digits()) return note("a digit is expected");
    }
    return true;
  }

  // False when there is none.
  bool skip_digits() {
    const std::size_t start = at_;
    while (is_digit(peek())) ++at_;
    return at_ > start;
  }

  std::string_view text_, in_place_;
  JsonLimits limits_;
  std::size_t at_ = 0;
  std::size_t values_ = 0;
  const char* problem_ = "";
};

}  // namespace

const JsonValue* find_member(const JsonObject& object, std::string_view name) {
  const auto found = std::ranges::find(object, name, &JsonMember::name);
  return found == object.end() || found->value.get<std::nullptr_t>() != nullptr ? nullptr : &found->value;
}

Result<JsonValue> read_json(std::string_view text, JsonLimits limits, std::string_view in_place) {
  return Reader(text, limits, in_place).read();
}

}  // namespace qkms::api
