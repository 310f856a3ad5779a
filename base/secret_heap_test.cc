// T22: what the secret heap promises about its pages, as the system sees them.
#include "base/secret_heap.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/sanitizer.h"

namespace qkms {
namespace {

// The line of flags in /proc/self/smaps (proc(5), VmFlags) of the mapping that holds `address`.
std::string flags_of(const std::uint8_t* address) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  bool found = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &begin, &end) == 2)
      found = begin <= wanted && wanted < end;
    if (found && line.starts_with("VmFlags:")) return line + " ";
  }
  return "";
}

bool all_are(const std::uint8_t* from, std::size_t bytes, std::uint8_t value) {
  return std::all_of(from, from + bytes, [value](std::uint8_t byte) { return byte == value; });
}

TEST(SecretHeap, KeepsItsPagesOutOfCoreDumpsAndSwap) {
  SecretHeap heap;
  for (const std::size_t bytes : {std::size_t{16}, std::size_t{1} << 20}) {
    std::uint8_t* const memory = heap.allocate(bytes);
    const std::string flags = flags_of(memory);
    EXPECT_NE(flags.find(" dd "), std::string::npos) << flags;
    if (!kSanitized && heap.figures().unlocked_bytes == 0) {  // a sanitizer makes mlock() do nothing
      EXPECT_NE(flags.find(" lo "), std::string::npos) << flags;
    }
    heap.release(memory, bytes);
  }
}

TEST(SecretHeap, FencesEachRegion) {
  SecretHeap heap;
  const std::size_t bytes = SecretHeap::kRegionBytes;
  std::uint8_t* const memory = heap.allocate(bytes);
  EXPECT_DEATH(*static_cast<volatile std::uint8_t*>(memory + bytes) = 1, "");
  EXPECT_DEATH(*static_cast<volatile std::uint8_t*>(memory - 1) = 1, "");
  heap.release(memory, bytes);
}

TEST(SecretHeap, WipesWhatIsReleased) {
  SecretHeap heap;
  std::uint8_t* const neighbour = heap.allocate(32);  // keeps the region
  std::uint8_t* const memory = heap.allocate(5000);
  std::fill_n(memory, 5000, std::uint8_t{0xa5});
  heap.release(memory, 5000);
  EXPECT_EQ(std::count(memory, memory + 5000, 0xa5), 0);  // the heap's own notes are there, and nothing else
  heap.release(neighbour, 32);
}

TEST(SecretHeap, TakesNoMoreThanARegionForAThousandSmallSecrets) {
  SecretHeap heap;
  std::vector<std::uint8_t*> all;
  for (int i = 0; i < 1000; ++i) all.push_back(heap.allocate(32));
  const auto figures = heap.figures();
  EXPECT_EQ(figures.used_bytes, 32'000u);
  EXPECT_EQ(figures.locked_bytes + figures.unlocked_bytes, SecretHeap::kRegionBytes);
  for (std::uint8_t* const one : all) heap.release(one, 32);
}

TEST(SecretHeap, GivesEmptyRegionsBackButOne) {
  SecretHeap heap;
  constexpr std::size_t kSize = 100'000;
  std::vector<std::uint8_t*> all;
  for (int i = 0; i < 100; ++i) all.push_back(heap.allocate(kSize));
  std::uint8_t* const large = heap.allocate(3 << 20);
  EXPECT_GE(heap.figures().locked_bytes + heap.figures().unlocked_bytes, 100 * kSize + (3u << 20));
  heap.release(large, 3 << 20);
  for (std::uint8_t* const one : all) heap.release(one, kSize);
  const auto figures = heap.figures();
  EXPECT_EQ(figures.used_bytes, 0u);
  EXPECT_EQ(figures.locked_bytes + figures.unlocked_bytes, SecretHeap::kRegionBytes);
}

TEST(SecretHeap, CountsWhatTheSystemDoesNotLock) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer makes mlock() do nothing";
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_MEMLOCK, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &none), 0);
  SecretHeap heap;
  std::uint8_t* const memory = heap.allocate(32);
  const auto figures = heap.figures();
  // CAP_IPC_LOCK is above the limit.
  EXPECT_EQ(figures.unlocked_bytes > 0, flags_of(memory).find(" lo ") == std::string::npos);
  EXPECT_EQ(figures.locked_bytes + figures.unlocked_bytes, SecretHeap::kRegionBytes);
  heap.release(memory, 32);
  EXPECT_EQ(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

// Secrets are made on one thread and wiped on another, as in the daemon.
TEST(SecretHeap, ServesManyThreads) {
  SecretHeap heap;
  const auto work = [&heap](std::uint8_t mark) {
    std::mt19937 random(mark);
    std::vector<std::pair<std::uint8_t*, std::size_t>> mine;
    for (int i = 0; i < 3000; ++i) {
      const std::size_t bytes = 1 + random() % (random() % 100 == 0 ? 600'000 : 4096);
      std::uint8_t* const memory = heap.allocate(bytes);
      ASSERT_TRUE(all_are(memory, bytes, 0));
      std::fill_n(memory, bytes, mark);
      mine.emplace_back(memory, bytes);
      if (mine.size() < 20) continue;
      const auto one = mine.begin() + static_cast<std::ptrdiff_t>(random() % mine.size());
      ASSERT_TRUE(all_are(one->first, one->second, mark));
      heap.release(one->first, one->second);
      mine.erase(one);
    }
    for (const auto& [memory, bytes] : mine) heap.release(memory, bytes);
  };
  {
    std::vector<std::jthread> threads;
    for (std::uint8_t mark = 1; mark <= 4; ++mark) threads.emplace_back(work, mark);
  }
  EXPECT_EQ(heap.figures().used_bytes, 0u);
}

}  // namespace
}  // namespace qkms
