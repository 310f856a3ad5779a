#include "drivers/etsi014/kept_keys.h"

#include <algorithm>
#include <utility>

#include "drivers/etsi014/block_draft.h"

namespace qkms::drivers::etsi014 {
namespace {

std::size_t cost_of(const SecretBytes& bits) { return std::max(bits.size(), KeptKeys::kKeyCost); }

}  // namespace

void KeptKeys::add(DeviceKey key) {
  bytes_ += cost_of(key.bits);
  order_.push_back(key.id);
  keys_.emplace(key.id, std::move(key.bits));
  while (bytes_ > max_bytes_ || order_.size() > 2 * keys_.size() + kMaxNoteKeys) {
    const auto oldest = keys_.find(order_.front());
    order_.pop_front();
    if (oldest == keys_.end()) continue;
    bytes_ -= cost_of(oldest->second);
    keys_.erase(oldest);
    ++dropped_;
  }
}

void KeptKeys::add(Note note) {
  notes_.push_back(std::move(note));
  if (notes_.size() <= kMaxNotes) return;
  notes_.pop_front();
  ++dropped_;
}

std::optional<Block> KeptKeys::take() {
  for (auto note = notes_.begin(); note != notes_.end(); ++note) {
    auto block = take_for(*note);
    if (!block) continue;
    notes_.erase(note);
    return block;
  }
  return std::nullopt;
}

std::optional<Block> KeptKeys::take_for(const Note& note) {
  const auto fits = [&](const KeyId& id) {
    const auto key = keys_.find(id);
    return key != keys_.end() && key->second.size() == note.key_bytes;
  };
  if (!std::ranges::all_of(note.ids, fits)) return std::nullopt;
  BlockDraft draft(note.key_bytes, note.block_bytes());
  for (const KeyId& id : note.ids) {
    const auto key = keys_.find(id);
    bytes_ -= cost_of(key->second);
    draft.add({id, std::move(key->second)});
    keys_.erase(key);
  }
  return draft.block();
}

std::size_t KeptKeys::take_dropped() { return std::exchange(dropped_, 0); }

}  // namespace qkms::drivers::etsi014
