// Is this random, and is it new? Continuous health tests of what a device delivers, for faults, not for attackers: who
// makes the device's bits can make them pass.
//
// - Repetition count and adaptive proportion test of NIST SP 800-90B §4.4, on bits, for a source with full entropy
//   (H = 1), with a false alarm at 2^-64 for each sample instead of the standard's 2^-20 to 2^-40: a link of 1 Gbit/s
//   has 2^55 samples a year.
// - A period of up to kLongestPeriod bytes, as of a buffer that is sent again and again.
// - Bits that came before under another ID: a keyed digest of each of the last kRememberedBlocks blocks, and of its
// first
//   bytes. The key is drawn at the start and never leaves, so that digests tell nothing of the bits. (The same bits
//   under the same ID are one block that came twice, which is harmless.)
//
// Concurrency: one thread. Memory: about 100 bytes for each remembered block.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>

#include "drivers/driver.h"

namespace qkms::drivers {

class HealthTests {
 public:
  static constexpr unsigned kLongestRun = 64;          // cutoff C = 1 + 64 / H: a run of 65 bits fails
  static constexpr unsigned kProportionWindow = 1024;  // bits; the standard's W for binary sources
  // 1 + the 1 - 2^-64 quantile of the others in the window: P(Binomial(1023, 1/2) >= 657) < 2^-64.
  static constexpr unsigned kProportionCutoff = 658;
  static constexpr std::size_t kLongestPeriod = 64;
  static constexpr std::size_t kRememberedBlocks = 16384;

  // `key` keys the digests; 32 random bytes.
  explicit HealthTests(SecretBytes key) : key_(std::move(key)) {}

  // Empty: nothing is wrong with it. Else a sentence for the operator, and the bits must not be used.
  std::string examine(const Block& block);

 private:
  using Digest = std::array<std::uint8_t, 16>;
  struct HashDigest {
    std::size_t operator()(const Digest& digest) const;
  };

  bool repetition_fails(std::span<const std::uint8_t> bytes);
  bool proportion_fails(std::span<const std::uint8_t> bytes);
  bool is_repeated(const Block& block);
  bool is_new(const Digest& digest, const BlockId& block);
  Digest digest(std::span<const std::uint8_t> bytes) const;

  const SecretBytes key_;
  bool last_bit_ = false;
  unsigned run_ = 0;
  unsigned window_bytes_ = 0;
  bool window_first_ = false;
  unsigned window_equal_ = 0;
  std::unordered_map<Digest, BlockId, HashDigest> seen_;  // the block in which it came first
  std::deque<Digest> seen_order_;
};

}  // namespace qkms::drivers
