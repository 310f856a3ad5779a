// The surprise: a bucket's index is the value's leading bits read as a number, so that no logarithm is computed.
#include "bench/loadgen/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace qkms::bench {
namespace {

using H = Histogram;

// How many low bits the bucket of this value does not tell apart.
unsigned shift_of(std::uint64_t value) {
  const unsigned width = static_cast<unsigned>(std::bit_width(value));
  return width > H::kSubBucketBits + 1 ? width - H::kSubBucketBits - 1 : 0;
}

std::size_t bucket_of(std::uint64_t value) {
  const unsigned shift = shift_of(value);
  return shift * H::kSubBuckets + (value >> shift);
}

std::uint64_t highest_in(std::size_t bucket) {
  if (bucket < 2 * H::kSubBuckets) return bucket;
  const auto shift = static_cast<unsigned>(bucket / H::kSubBuckets - 1);
  const std::uint64_t leading = bucket - shift * H::kSubBuckets;
  return ((leading + 1) << shift) - 1;
}

}  // namespace

Histogram::Histogram() : counts_(bucket_of(kMaxValue) + 1) {}

void Histogram::add(std::uint64_t value_ns) {
  value_ns = std::min(value_ns, kMaxValue);
  ++counts_[bucket_of(value_ns)];
  ++count_;
  sum_ += value_ns;
  max_ = std::max(max_, value_ns);
}

void Histogram::merge(const Histogram& other) {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
}

double Histogram::mean_ns() const { return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_); }

std::uint64_t Histogram::percentile_ns(double fraction) const {
  if (count_ == 0) return 0;
  const auto wanted =
      static_cast<std::uint64_t>(std::ceil(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= std::max<std::uint64_t>(wanted, 1)) return std::min(highest_in(i), max_);
  }
  return max_;
}

}  // namespace qkms::bench
