// Nanoseconds for one allocation and release, of the secret heap beside malloc with the same wiping, in one run.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "base/secret.h"
#include "base/secret_heap.h"

namespace qkms {
namespace {

using Clock = std::chrono::steady_clock;

// A hundred at a time, so that neither heap only gives back what it has just taken.
template <class Allocate, class Release>
double nanoseconds(std::size_t bytes, Allocate allocate, Release release) {
  constexpr int kAtOnce = 100;
  const int rounds = bytes > 4096 ? 200 : 5000;
  std::vector<std::uint8_t*> all(kAtOnce);
  const auto begin = Clock::now();
  for (int round = 0; round < rounds; ++round) {
    for (auto& one : all) one = allocate(bytes);
    for (auto& one : all) release(one, bytes);
  }
  return std::chrono::duration<double, std::nano>(Clock::now() - begin).count() / (rounds * kAtOnce);
}

int run() {
  SecretHeap& heap = SecretHeap::of_process();
  for (const std::size_t bytes : {32u, 4096u, 65536u}) {
    const double ours = nanoseconds(
        bytes, [&](std::size_t size) { return heap.allocate(size); },
        [&](std::uint8_t* memory, std::size_t size) { heap.release(memory, size); });
    const double plain = nanoseconds(
        bytes, [](std::size_t size) { return static_cast<std::uint8_t*>(std::calloc(1, size)); },
        [](std::uint8_t* memory, std::size_t size) {
          wipe({memory, size});
          std::free(memory);
        });
    std::printf("%6zu bytes: secret heap %8.0f ns, calloc and wipe %8.0f ns\n", bytes, ours, plain);
  }
  constexpr int kTimes = 100'000;
  const auto begin = Clock::now();
  for (int i = 0; i < kTimes; ++i) wipe_traces();
  std::printf("wipe_traces: %.0f ns\n",
              std::chrono::duration<double, std::nano>(Clock::now() - begin).count() / kTimes);
  return 0;
}

}  // namespace
}  // namespace qkms

int main() { return qkms::run(); }
