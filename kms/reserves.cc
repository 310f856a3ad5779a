#include "kms/reserves.h"

#include <algorithm>

#include "kms/planted_bug.h"

namespace qkms::kms {
namespace {

// part x of / whole, rounded down; part <= whole. Reservoirs are at most 2^40 bytes, so 128 bits are more than enough.
std::uint64_t share(std::uint64_t part, std::uint64_t of, std::uint64_t whole) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>(static_cast<Wide>(part) * of / whole);
}

}  // namespace

Reserves::Reserves(const std::map<PairOf, std::uint64_t>& floors) {
  for (const auto& [pair, wanted] : floors) {
    floors_[pair].wanted = wanted;
    wanted_ += wanted;
  }
}

// What came in since the last look fills the floors; what went out beside taken() is missing.
void Reserves::settle(std::uint64_t available) {
  const std::uint64_t gain = available > seen_ ? available - seen_ : 0;
  seen_ = available;
  const std::uint64_t lacking = wanted_ - held_;
  if (gain > 0 && lacking > 0) {
    const std::uint64_t given = std::min(gain, lacking);
    held_ = 0;
    for (auto& [pair, floor] : floors_) {
      floor.held += share(given, floor.wanted - floor.held, lacking);
      held_ += floor.held;
    }
  }
  if (held_ <= available) return;
  const std::uint64_t before = held_;
  held_ = 0;
  for (auto& [pair, floor] : floors_) {
    floor.held = share(floor.held, available, before);
    held_ += floor.held;
  }
}

std::uint64_t Reserves::open_to(const PairOf& pair, std::uint64_t available) {
  if (floors_.empty() || planted(Bug::kIgnoreReserve)) return available;
  if (available != seen_) settle(available);
  const auto own = floors_.find(pair);
  return available - held_ + (own == floors_.end() ? 0 : own->second.held);
}

void Reserves::taken(const PairOf& pair, std::uint64_t bytes) {
  if (floors_.empty()) return;
  const std::uint64_t common = seen_ - held_;
  seen_ -= std::min(seen_, bytes);
  const auto own = floors_.find(pair);
  if (own == floors_.end() || bytes <= common) return;
  const std::uint64_t from_own = std::min(own->second.held, bytes - common);
  own->second.held -= from_own;
  held_ -= from_own;
}

}  // namespace qkms::kms
