// A block that grows key by key.
#pragma once

#include <algorithm>

#include "drivers/etsi014/device_messages.h"
#include "drivers/etsi014/note.h"

namespace qkms::drivers::etsi014 {

class BlockDraft {
 public:
  // All keys have key_bytes, at most kMaxBlockBytes; the block about block_bytes, as far as one of such keys can have
  // that.
  BlockDraft(std::uint32_t key_bytes, std::size_t block_bytes)
      : max_keys_(std::clamp(block_bytes / key_bytes, (kMinBlockBytes + key_bytes - 1) / key_bytes,
                             std::max<std::size_t>(1, std::min(kMaxBlockBytes / key_bytes, kMaxNoteKeys)))),
        bits_(max_keys_ * key_bytes) {
    note_.key_bytes = key_bytes;
  }

  std::size_t room() const { return max_keys_ - note_.ids.size(); }  // in keys
  bool empty() const { return note_.ids.empty(); }
  bool is_enough() const { return note_.block_bytes() >= kMinBlockBytes; }
  const Note& note() const { return note_; }

  // There must be room, and the key must be of the size.
  void add(const DeviceKey& key) {
    std::ranges::copy(key.bits.reveal(), bits_.reveal_mutable().subspan(note_.block_bytes()).begin());
    note_.ids.push_back(key.id);
  }

  Block block() const { return {block_id_of(note_), bits_.slice(0, note_.block_bytes())}; }

 private:
  const std::size_t max_keys_;
  Note note_;
  SecretBytes bits_;
};

}  // namespace qkms::drivers::etsi014
