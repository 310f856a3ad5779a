// What the two ends' drivers tell each other: of which keys, in which order, a block was made; and back, that this has
// been dealt with. Public.
//
// Layout of a note, integers big-endian:
//   u8  version, 1
//   u32 bytes in each key
//   u16 number of keys, 1 to kMaxNoteKeys
//   16 bytes for each key: its ID
// Layout of a receipt:
//   u8  kReceipt
//   16 bytes: the block's ID; all zero: everything that was told before
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/id.h"
#include "drivers/driver.h"

namespace qkms::drivers::etsi014 {

inline constexpr std::size_t kNoteHeadBytes = 7;
inline constexpr std::size_t kMaxNoteKeys = (kMaxNoteBytes - kNoteHeadBytes) / 16;

// The keys' bits, one behind the other, are a block: kMinBlockBytes to kMaxBlockBytes.
struct Note {
  std::uint32_t key_bytes = 0;
  std::vector<KeyId> ids;  // no two alike
  std::size_t block_bytes() const { return key_bytes * ids.size(); }
  bool operator==(const Note&) const = default;
};

// At most kMaxNoteKeys keys.
std::string write_note(const Note& note);
// Takes any bytes. kInvalid: no note, or one that breaks a rule above.
Result<Note> read_note(std::string_view bytes);

inline constexpr char kReceipt = '\x81';
std::string write_receipt(const BlockId& block);
// Takes any bytes. Nothing: it is no receipt, and may be a note.
std::optional<BlockId> read_receipt(std::string_view bytes);

// The block's ID at both ends.
BlockId block_id_of(const Note& note);

}  // namespace qkms::drivers::etsi014
