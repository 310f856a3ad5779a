#include "drivers/etsi014/note.h"

#include <algorithm>
#include <cassert>
#include <set>

#include "drivers/block_id.h"

namespace qkms::drivers::etsi014 {
namespace {

constexpr char kVersion = 1;
constexpr std::size_t kIdBytes = 16;

void append_number(std::string& out, std::size_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

std::size_t number_at(std::string_view bytes, std::size_t at, std::size_t size) {
  std::size_t value = 0;
  for (const char c : bytes.substr(at, size)) value = value << 8 | static_cast<std::uint8_t>(c);
  return value;
}

std::string ids_as_bytes(const Note& note) {
  std::string out;
  out.reserve(note.ids.size() * kIdBytes);
  for (const KeyId& id : note.ids) out.append(id.bytes().begin(), id.bytes().end());
  return out;
}

}  // namespace

std::string write_note(const Note& note) {
  assert(note.ids.size() <= kMaxNoteKeys);
  std::string out(1, kVersion);
  append_number(out, note.key_bytes, 4);
  append_number(out, note.ids.size(), 2);
  return out + ids_as_bytes(note);
}

Result<Note> read_note(std::string_view bytes) {
  const auto refuse = [](const char* why) { return fail(ErrorCode::kInvalid, why); };
  if (bytes.size() < kNoteHeadBytes) return refuse("a note from the other end is cut");
  if (bytes.front() != kVersion) return refuse("a note from the other end is of another version");
  Note note;
  note.key_bytes = static_cast<std::uint32_t>(number_at(bytes, 1, 4));
  const std::size_t count = number_at(bytes, 5, 2);
  if (count == 0 || count > kMaxNoteKeys || bytes.size() != kNoteHeadBytes + count * kIdBytes)
    return refuse("a note from the other end has another size than it says");
  if (note.key_bytes > kMaxBlockBytes || note.key_bytes * count > kMaxBlockBytes ||
      note.key_bytes * count < kMinBlockBytes)
    return refuse("a note from the other end is of a block that is too small or too large");
  note.ids.reserve(count);
  std::set<KeyId> seen;
  for (std::size_t i = 0; i < count; ++i) {
    KeyId::Bytes id;
    std::ranges::copy(bytes.substr(kNoteHeadBytes + i * kIdBytes, kIdBytes), id.begin());
    if (!seen.insert(KeyId(id)).second) return refuse("a note from the other end has a key twice");
    note.ids.emplace_back(id);
  }
  return note;
}

std::string write_receipt(const BlockId& block) {
  std::string out(1, kReceipt);
  return out.append(block.bytes().begin(), block.bytes().end());
}

std::optional<BlockId> read_receipt(std::string_view bytes) {
  if (bytes.size() != 1 + kIdBytes || bytes.front() != kReceipt) return std::nullopt;
  BlockId::Bytes id;
  std::ranges::copy(bytes.substr(1), id.begin());
  return BlockId(id);
}

BlockId block_id_of(const Note& note) {
  return derived_block_id({"etsi014", std::to_string(note.key_bytes), ids_as_bytes(note)});
}

}  // namespace qkms::drivers::etsi014
