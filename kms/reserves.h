// Reserve floors: of the bits in one reservoir, what each pair of master and slave can count on whatever the others
// take.
//
// Bits that come in fill what is missing from the floors first, each by what it lacks; what is left is anybody's. A
// pair takes from the common part before it takes from its own. So a pair with a floor always finds what its floor
// still holds, and nobody else can take that. Bits that go in another way (burned, given to the peer) come off the
// common part, and off all floors alike when that is not enough. Kept in memory: after a restart the floors fill from
// what is there. Sizes: bytes. Concurrency: the engine's thread.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "base/id.h"

namespace qkms::kms {

class Reserves {
 public:
  using PairOf = std::pair<SaeId, SaeId>;  // (master, slave)

  Reserves() = default;
  explicit Reserves(const std::map<PairOf, std::uint64_t>& floors);

  // Of `available`, which is what the reservoir holds now: what this pair may take.
  std::uint64_t open_to(const PairOf& pair, std::uint64_t available);
  // The pair has taken so much of what was available.
  void taken(const PairOf& pair, std::uint64_t bytes);

 private:
  struct Floor {
    std::uint64_t wanted = 0;
    std::uint64_t held = 0;
  };
  void settle(std::uint64_t available);

  std::map<PairOf, Floor> floors_;
  std::uint64_t seen_ = 0;  // of the reservoir, when we last looked
  std::uint64_t held_ = 0;  // the sum of all `held`
  std::uint64_t wanted_ = 0;
};

}  // namespace qkms::kms
