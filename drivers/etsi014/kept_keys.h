// Paired mode at the following end: keys too small to be blocks wait for the note that says how they are grouped, and
// notes for their keys.
//
// Limits: max_bytes of keys (each counted as kKeyCost at least), kMaxNotes notes; beyond that the oldest go.
#pragma once

#include <deque>
#include <map>
#include <optional>

#include "drivers/etsi014/device_messages.h"
#include "drivers/etsi014/note.h"

namespace qkms::drivers::etsi014 {

class KeptKeys {
 public:
  static constexpr std::size_t kMaxNotes = 64;
  static constexpr std::size_t kKeyCost = 64;

  explicit KeptKeys(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // A key ID that is kept already must not come again.
  void add(DeviceKey key);
  void add(Note note);
  // The next block whose note and keys are all there.
  std::optional<Block> take();

  // How many keys and notes had to go since the last call.
  std::size_t take_dropped();

 private:
  std::optional<Block> take_for(const Note& note);

  const std::size_t max_bytes_;
  std::map<KeyId, SecretBytes> keys_;
  std::deque<KeyId> order_;  // as they came; some may have been taken
  std::deque<Note> notes_;
  std::size_t bytes_ = 0;
  std::size_t dropped_ = 0;
};

}  // namespace qkms::drivers::etsi014
