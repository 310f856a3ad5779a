// A free run: its first granule begins with a Head, its last one ends with the run's size. The two fit into one
// granule.
#include "base/free_runs.h"

#include <bit>
#include <cassert>
#include <cstring>

namespace qkms {
namespace {

constexpr std::uint32_t kNone = UINT32_MAX;
constexpr std::size_t kTailBytes = sizeof(std::uint32_t);
// Runs of the request's own class that are looked at before a longer one is cut.
constexpr int kLooks = 8;

std::uint32_t granules_of(std::size_t bytes) {
  return static_cast<std::uint32_t>((bytes + FreeRuns::kGranuleBytes - 1) / FreeRuns::kGranuleBytes);
}

std::size_t class_of(std::uint32_t size) { return static_cast<std::size_t>(std::bit_width(size) - 1); }

}  // namespace

FreeRuns::FreeRuns(std::uint8_t* memory, std::size_t bytes)
    : memory_(memory), granules_(granules_of(bytes)), edge_(granules_) {
  static_assert(sizeof(Head) + kTailBytes == kGranuleBytes);
  assert(bytes > 0 && bytes % kGranuleBytes == 0 && bytes / kGranuleBytes < kNone);
  first_.fill(kNone);
  link(0, granules_);
}

FreeRuns::Head FreeRuns::head_at(Index run) const {
  Head head;
  std::memcpy(&head, memory_ + run * kGranuleBytes, sizeof head);
  return head;
}

void FreeRuns::put_head(Index run, const Head& head) { std::memcpy(memory_ + run * kGranuleBytes, &head, sizeof head); }

// Of the free run that ends where `end` begins.
FreeRuns::Index FreeRuns::size_before(Index end) const {
  Index size = 0;
  std::memcpy(&size, memory_ + end * kGranuleBytes - kTailBytes, sizeof size);
  return size;
}

FreeRuns::Index FreeRuns::find(Index size) const {
  const std::size_t own = class_of(size);
  Index run = first_[own];
  for (int looks = 0; looks < kLooks && run != kNone; ++looks) {
    const Head head = head_at(run);
    if (head.size >= size) return run;
    run = head.next;
  }
  for (std::size_t longer = own + 1; longer < kClasses; ++longer) {
    if (first_[longer] != kNone) return first_[longer];
  }
  return kNone;
}

void FreeRuns::link(Index run, Index size) {
  Index& first = first_[class_of(size)];
  put_head(run, {size, kNone, first});
  if (first != kNone) {
    Head second = head_at(first);
    second.previous = run;
    put_head(first, second);
  }
  first = run;
  std::memcpy(memory_ + (run + size) * kGranuleBytes - kTailBytes, &size, sizeof size);
  edge_[run] = edge_[run + size - 1] = true;
}

// Out of its list, and all zero again.
void FreeRuns::unlink(Index run) {
  const Head head = head_at(run);
  if (head.previous == kNone) {
    first_[class_of(head.size)] = head.next;
  } else {
    Head before = head_at(head.previous);
    before.next = head.next;
    put_head(head.previous, before);
  }
  if (head.next != kNone) {
    Head after = head_at(head.next);
    after.previous = head.previous;
    put_head(head.next, after);
  }
  edge_[run] = edge_[run + head.size - 1] = false;
  std::memset(memory_ + run * kGranuleBytes, 0, sizeof head);
  std::memset(memory_ + (run + head.size) * kGranuleBytes - kTailBytes, 0, kTailBytes);
}

std::uint8_t* FreeRuns::take(std::size_t bytes) {
  assert(bytes > 0);
  if (bytes > std::size_t{granules_} * kGranuleBytes) return nullptr;
  const Index size = granules_of(bytes);
  const Index run = find(size);
  if (run == kNone) return nullptr;
  const Index found = head_at(run).size;
  unlink(run);
  if (found > size) link(run + size, found - size);
  taken_ += size;
  return memory_ + run * kGranuleBytes;
}

void FreeRuns::give_back(std::uint8_t* memory, std::size_t bytes) {
  auto run = static_cast<Index>(static_cast<std::size_t>(memory - memory_) / kGranuleBytes);
  Index size = granules_of(bytes);
  assert(run < granules_ && size <= granules_ - run && size <= taken_ && !edge_[run]);
  taken_ -= size;
  if (const Index end = run + size; end < granules_ && edge_[end]) {
    size += head_at(end).size;
    unlink(end);
  }
  if (run > 0 && edge_[run - 1]) {
    const Index before = size_before(run);
    unlink(run - before);
    run -= before;
    size += before;
  }
  link(run, size);
}

}  // namespace qkms
