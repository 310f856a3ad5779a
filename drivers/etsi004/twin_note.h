// What the drivers at the two ends of a link tell each other about their key stream: a version, a kind, a
// Key_stream_ID; 18 bytes. Pure; a note that is no such thing is none.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "drivers/etsi004/messages.h"

namespace qkms::drivers::etsi004 {

struct TwinNote {
  enum class Kind : std::uint8_t {
    kIsOpen = 1,  // from the end that opens the stream: this is it
    kAsks = 2,    // from the other end: which one is it? `stream`: one that is of no use, or none
  };
  Kind kind = Kind::kIsOpen;
  StreamId stream{};
  bool operator==(const TwinNote&) const = default;
};

std::string encode(const TwinNote& note);
std::optional<TwinNote> decode_twin_note(std::string_view bytes);

}  // namespace qkms::drivers::etsi004
