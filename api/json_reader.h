// A small strict reader of JSON (RFC 8259) for what strangers send: bounded in depth and number of values, linear in
// time, never throws. What may surprise: it refuses more than the RFC does. Two members of one name, a NUL in a string,
// a lone surrogate and a byte order mark are errors, because two readers of the same text might see different things in
// them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace qkms::api {

// A number that is no plain integer of 64 bits: 1.0, 1e2, -0, 2^63. Nothing here needs its value.
struct JsonOtherNumber {
  bool operator==(const JsonOtherNumber&) const = default;
};

// A string that may hold secrets, and so was not copied: what stands between its quotes in the text that was read, with
// its escapes. That text must outlive it.
struct JsonInPlace {
  std::string_view inner;
};

struct JsonValue;
struct JsonMember;
using JsonArray = std::vector<JsonValue>;
using JsonObject = std::vector<JsonMember>;  // in the order of the text; names differ

struct JsonValue {
  std::variant<std::nullptr_t, bool, std::int64_t, JsonOtherNumber, std::string, JsonArray, JsonObject, JsonInPlace>
      data;

  // Null when it is of another kind.
  template <class Kind>
  const Kind* get() const {
    return std::get_if<Kind>(&data);
  }
};

struct JsonMember {
  std::string name;
  JsonValue value;
};

// The member's value; null when it is absent or JSON's null, which mean the same in all our requests (shared decision
// 11).
const JsonValue* find_member(const JsonObject& object, std::string_view name);

struct JsonLimits {
  std::size_t max_depth = 16;
  // Counts every value, inside or outside of containers. A full body of key IDs (64 KiB, two values each) stays below.
  std::size_t max_values = 4096;
};

// kInvalid with a text that says what is wrong and at which byte; it repeats none of the input. Strings that are values
// of members of the name `in_place` become JsonInPlace.
Result<JsonValue> read_json(std::string_view text, JsonLimits limits = {}, std::string_view in_place = {});

}  // namespace qkms::api
