// Where the engine's random bits come from: the operating system in qkmsd, a seed in the simulator.
#pragma once

#include <cstdint>
#include <span>

namespace qkms::kms {

class Random {
 public:
  virtual ~Random() = default;
  // Fills with bits fit for keys.
  virtual void fill(std::span<std::uint8_t> out) = 0;

  std::uint64_t next_u64() {
    std::uint8_t bytes[8];
    fill(bytes);
    std::uint64_t value = 0;
    for (std::uint8_t byte : bytes) value = value << 8 | byte;
    return value;
  }
};

}  // namespace qkms::kms
