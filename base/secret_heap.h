// The heap that key bits live in, behind SecretBytes and nothing else: pages that are locked, left out of core dumps
// and fenced by guard pages (secret_pages.h); wiped as soon as they are free.
//
// Operation: regions of kRegionBytes are divided among small requests; from kOwnRegionBytes on a request has a region
// to itself. Empty regions go back to the system at once, but for one. Overhead: below 16 bytes per request, a page at
// most per region, and what is free between requests. Limits: RLIMIT_MEMLOCK. What the system does not lock is used all
// the same, and counted: qkmsd says so in its log, in /readyz and in its metrics. ADR 0017. Concurrency: all members,
// from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/free_runs.h"
#include "base/secret_pages.h"

namespace qkms {

class SecretHeap {
 public:
  static constexpr std::size_t kRegionBytes = 1 << 20;
  static constexpr std::size_t kOwnRegionBytes = kRegionBytes / 4;

  struct Figures {
    std::size_t used_bytes = 0;      // asked for and not given back
    std::size_t locked_bytes = 0;    // of regions
    std::size_t unlocked_bytes = 0;  // likewise: these may be swapped
  };

  SecretHeap() = default;
  ~SecretHeap();
  SecretHeap(const SecretHeap&) = delete;
  SecretHeap& operator=(const SecretHeap&) = delete;

  // The process's heap. It is never destroyed, so secrets may live as long as anything else.
  static SecretHeap& of_process();

  // `bytes` > 0 of zeroes, aligned for any type. Throws std::bad_alloc.
  std::uint8_t* allocate(std::size_t bytes);
  // What allocate() returned, with the same size. Wipes it.
  void release(std::uint8_t* memory, std::size_t bytes) noexcept;

  Figures figures() const;

 private:
  struct Region {
    explicit Region(std::size_t bytes) : pages(bytes), runs(pages.data(), pages.size()) {}
    SecretPages pages;
    FreeRuns runs;
  };
  using Regions = std::vector<std::unique_ptr<Region>>;

  std::uint8_t* take_from_regions(std::size_t bytes);
  Region& add_region(std::size_t bytes);
  Regions::iterator region_of(const std::uint8_t* memory);
  void drop_if_spare(Regions::iterator region) noexcept;

  mutable std::mutex mutex_;
  Regions regions_;         // by address
  std::size_t hint_ = 0;    // the region that served last
  bool has_spare_ = false;  // one of them is empty
  Figures figures_;
};

}  // namespace qkms
