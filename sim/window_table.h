// Finds 8-byte windows of key material: a hash table from 8 bytes to where they were seen first. Open addressing,
// because one run of the simulator puts tens of thousands of windows into it, and there are many runs.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

namespace qkms::sim {

inline constexpr std::size_t kWindowBytes = 8;

class WindowTable {
 public:
  explicit WindowTable(std::size_t windows) : slots_(std::bit_ceil(2 * windows + 16)) {}

  static std::uint64_t window_at(std::span<const std::uint8_t> bytes, std::size_t at) {
    std::uint64_t window;
    std::memcpy(&window, bytes.data() + at, sizeof window);
    return window;
  }

  // Where this window was put before, if it was; otherwise it is now at `place`.
  std::optional<std::uint32_t> put(std::uint64_t window, std::uint32_t place) {
    Slot& slot = slot_of(window);
    if (slot.used) return slot.place;
    slot = {window, place, true};
    return std::nullopt;
  }

  std::optional<std::uint32_t> find(std::uint64_t window) const {
    const Slot& slot = const_cast<WindowTable*>(this)->slot_of(window);
    return slot.used ? std::optional(slot.place) : std::nullopt;
  }

 private:
  struct Slot {
    std::uint64_t window = 0;
    std::uint32_t place = 0;
    bool used = false;
  };

  // The caller keeps to the number of windows that it announced, so there is always a free slot.
  Slot& slot_of(std::uint64_t window) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = (window * 0x9e3779b97f4a7c15) >> 32 & mask;
    while (slots_[at].used && slots_[at].window != window) at = (at + 1) & mask;
    return slots_[at];
  }

  std::vector<Slot> slots_;
};

}  // namespace qkms::sim
