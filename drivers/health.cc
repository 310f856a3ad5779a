#include "drivers/health.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

namespace qkms::drivers {
namespace {

constexpr std::size_t kFirstBytes = 64;    // of a block, remembered apart: it may come again with another length
constexpr std::size_t kPeriodWindow = 16;  // equal by chance: once in 2^128
constexpr std::size_t kPeriodStride = 4096;

// Does the part that begins at `at` repeat itself within kLongestPeriod bytes?
bool repeats_at(std::span<const std::uint8_t> bytes, std::size_t at) {
  for (std::size_t lag = 1; lag <= HealthTests::kLongestPeriod && at + lag + kPeriodWindow <= bytes.size(); ++lag) {
    if (std::memcmp(bytes.data() + at, bytes.data() + at + lag, kPeriodWindow) == 0) return true;
  }
  return false;
}

bool has_period(std::span<const std::uint8_t> bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += kPeriodStride) {
    if (repeats_at(bytes, at)) return true;
  }
  return false;
}

}  // namespace

std::size_t HealthTests::HashDigest::operator()(const Digest& digest) const {
  std::size_t value;
  std::memcpy(&value, digest.data(), sizeof value);
  return value;
}

std::string HealthTests::examine(const Block& block) {
  const auto bytes = block.bits.reveal();
  // All of them, always: each keeps its own account of what came.
  const bool repetition = repetition_fails(bytes);
  const bool proportion = proportion_fails(bytes);
  const bool repeated = is_repeated(block);
  if (repetition) return "more than 64 equal bits in a row (repetition count test)";
  if (proportion) return "too many zeros or ones among 1024 bits (adaptive proportion test)";
  if (has_period(bytes)) return "it repeats itself within 64 bytes";
  if (repeated) return "its bits came before under another ID";
  return {};
}

// A run of equal bits from block to block: a byte ends it, begins the next one, or is wholly of it.
bool HealthTests::repetition_fails(std::span<const std::uint8_t> bytes) {
  bool failed = false;
  for (const std::uint8_t byte : bytes) {
    const auto leading = static_cast<unsigned>(last_bit_ ? std::countl_one(byte) : std::countl_zero(byte));
    run_ += leading;
    failed |= run_ > kLongestRun;  // a run inside of one byte is never that long
    if (leading == 8) continue;
    last_bit_ = (byte & 1) != 0;
    run_ = static_cast<unsigned>(last_bit_ ? std::countr_one(byte) : std::countr_zero(byte));
  }
  return failed;
}

bool HealthTests::proportion_fails(std::span<const std::uint8_t> bytes) {
  bool failed = false;
  for (const std::uint8_t byte : bytes) {
    if (window_bytes_ == 0) {
      window_first_ = (byte & 0x80) != 0;
      window_equal_ = 0;
    }
    const auto ones = static_cast<unsigned>(std::popcount(byte));
    window_equal_ += window_first_ ? ones : 8 - ones;
    if (++window_bytes_ < kProportionWindow / 8) continue;
    failed |= window_equal_ >= kProportionCutoff;
    window_bytes_ = 0;
  }
  return failed;
}

// Or of this block itself.
bool HealthTests::is_new(const Digest& digest, const BlockId& block) {
  const auto [found, fresh] = seen_.try_emplace(digest, block);
  if (fresh) seen_order_.push_back(digest);
  return found->second == block;
}

HealthTests::Digest HealthTests::digest(std::span<const std::uint8_t> bytes) const {
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> full;
  unsigned size = 0;
  const auto* made = HMAC(EVP_sha256(), key_.reveal().data(), static_cast<int>(key_.size()), bytes.data(), bytes.size(),
                          full.data(), &size);
  assert(made != nullptr);  // only without memory
  Digest short_one;
  std::copy_n(full.begin(), short_one.size(), short_one.begin());
  return short_one;
}

bool HealthTests::is_repeated(const Block& block) {
  const auto bytes = block.bits.reveal();
  bool repeated = !is_new(digest(bytes), block.id);
  if (bytes.size() > kFirstBytes) repeated |= !is_new(digest(bytes.first(kFirstBytes)), block.id);
  while (seen_order_.size() > 2 * kRememberedBlocks) {
    seen_.erase(seen_order_.front());
    seen_order_.pop_front();
  }
  return repeated;
}

}  // namespace qkms::drivers
