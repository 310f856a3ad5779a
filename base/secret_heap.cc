#include "base/secret_heap.h"

#include <string.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace qkms {

SecretHeap::~SecretHeap() { assert(figures_.used_bytes == 0); }

SecretHeap& SecretHeap::of_process() {
  static SecretHeap& heap = *new SecretHeap;
  return heap;
}

std::uint8_t* SecretHeap::allocate(std::size_t bytes) {
  assert(bytes > 0);
  const std::lock_guard lock(mutex_);
  const bool shares = bytes < kOwnRegionBytes;
  std::uint8_t* memory = shares ? take_from_regions(bytes) : nullptr;
  if (memory == nullptr) memory = add_region(shares ? kRegionBytes : bytes).runs.take(bytes);
  figures_.used_bytes += bytes;
  return memory;
}

// From the region that served last, or the first other one that can.
std::uint8_t* SecretHeap::take_from_regions(std::size_t bytes) {
  for (std::size_t tried = 0; tried < regions_.size(); ++tried) {
    const std::size_t index = (hint_ + tried) % regions_.size();
    Region& region = *regions_[index];
    if (region.pages.size() != kRegionBytes) continue;
    const bool was_spare = region.runs.all_free();
    if (std::uint8_t* const memory = region.runs.take(bytes)) {
      hint_ = index;
      if (was_spare) has_spare_ = false;
      return memory;
    }
  }
  return nullptr;
}

SecretHeap::Region& SecretHeap::add_region(std::size_t bytes) {
  auto made = std::make_unique<Region>(bytes);
  Region& region = *made;
  const auto place =
      std::ranges::upper_bound(regions_, region.pages.data(), {}, [](const auto& one) { return one->pages.data(); });
  const auto added = regions_.insert(place, std::move(made));
  hint_ = static_cast<std::size_t>(added - regions_.begin());
  (region.pages.locked() ? figures_.locked_bytes : figures_.unlocked_bytes) += region.pages.size();
  return region;
}

SecretHeap::Regions::iterator SecretHeap::region_of(const std::uint8_t* memory) {
  const auto behind = std::ranges::upper_bound(
      regions_, memory, {}, [](const auto& one) -> const std::uint8_t* { return one->pages.data(); });
  assert(behind != regions_.begin());
  return behind - 1;
}

void SecretHeap::release(std::uint8_t* memory, std::size_t bytes) noexcept {
  ::explicit_bzero(memory, bytes);
  const std::lock_guard lock(mutex_);
  const auto region = region_of(memory);
  (*region)->runs.give_back(memory, bytes);
  figures_.used_bytes -= bytes;
  if ((*region)->runs.all_free()) drop_if_spare(region);
}

// One empty region stays, so that a heap that breathes does not map and unmap.
void SecretHeap::drop_if_spare(Regions::iterator region) noexcept {
  const SecretPages& pages = (*region)->pages;
  if (pages.size() == kRegionBytes && !std::exchange(has_spare_, true)) return;
  (pages.locked() ? figures_.locked_bytes : figures_.unlocked_bytes) -= pages.size();
  regions_.erase(region);
  hint_ = 0;
}

SecretHeap::Figures SecretHeap::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

}  // namespace qkms
