#include "drivers/etsi004/twin_note.h"

#include <algorithm>
#include <utility>

namespace qkms::drivers::etsi004 {
namespace {

constexpr char kVersion = 1;

}  // namespace

std::string encode(const TwinNote& note) {
  std::string bytes = {kVersion, static_cast<char>(std::to_underlying(note.kind))};
  bytes.append(note.stream.begin(), note.stream.end());
  return bytes;
}

std::optional<TwinNote> decode_twin_note(std::string_view bytes) {
  TwinNote note;
  if (bytes.size() != 2 + note.stream.size() || bytes[0] != kVersion) return std::nullopt;
  note.kind = static_cast<TwinNote::Kind>(bytes[1]);
  if (note.kind != TwinNote::Kind::kIsOpen && note.kind != TwinNote::Kind::kAsks) return std::nullopt;
  std::ranges::copy(bytes.substr(2), note.stream.begin());
  return note;
}

}  // namespace qkms::drivers::etsi004
