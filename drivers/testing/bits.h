// For tests: bits that look random and are the same for the same number.
#pragma once

#include <algorithm>
#include <random>

#include "base/secret.h"

namespace qkms::drivers {

inline SecretBytes random_bits(std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  SecretBytes bits(size);
  std::ranges::generate(bits.reveal_mutable(), [&] { return static_cast<std::uint8_t>(random()); });
  return bits;
}

}  // namespace qkms::drivers
