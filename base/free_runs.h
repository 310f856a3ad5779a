// Which parts of one piece of memory are free: runs of granules, joined with their neighbours as soon as they are given
// back, found by size in constant time.
//
// What would surprise: a free run says its own size and links in its first and last bytes, so that giving memory back
// never needs memory. All other bytes of a free run are zero, and so is all that take() returns.
// Concurrency: as a plain value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace qkms {

class FreeRuns {
 public:
  static constexpr std::size_t kGranuleBytes = 16;

  // `bytes` of zeroes from `memory` on, a multiple of the granule, less than 64 GiB. They must outlive this object.
  FreeRuns(std::uint8_t* memory, std::size_t bytes);

  // A run of at least `bytes` > 0, or null when none is long enough.
  std::uint8_t* take(std::size_t bytes);
  // What take() returned, with the same size, all zero.
  void give_back(std::uint8_t* memory, std::size_t bytes);

  bool all_free() const { return taken_ == 0; }

 private:
  using Index = std::uint32_t;  // counts granules
  struct Head {
    Index size, previous, next;
  };
  static constexpr std::size_t kClasses = 32;  // class c: runs of 2^c up to 2^(c+1) - 1 granules

  Head head_at(Index run) const;
  void put_head(Index run, const Head& head);
  Index size_before(Index end) const;
  Index find(Index size) const;
  void link(Index run, Index size);
  void unlink(Index run);

  std::uint8_t* memory_;
  Index granules_;
  Index taken_ = 0;
  std::vector<bool> edge_;  // the granule is the first or the last of a free run
  std::array<Index, kClasses> first_;
};

}  // namespace qkms
