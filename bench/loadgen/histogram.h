// Latencies in constant memory: a histogram whose buckets grow with the value, so that the error is relative (under 1
// %).
#pragma once

#include <cstdint>
#include <vector>

namespace qkms::bench {

// Values are nanoseconds. Each power of two is cut into kSubBuckets equal parts; below kSubBuckets values are exact;
// above kMaxValue they count as kMaxValue. Thread rule: as a plain value.
class Histogram {
 public:
  static constexpr unsigned kSubBucketBits = 7;
  static constexpr std::uint64_t kSubBuckets = 1ULL << kSubBucketBits;
  static constexpr unsigned kMaxValueBits = 40;  // about 18 minutes
  static constexpr std::uint64_t kMaxValue = (1ULL << kMaxValueBits) - 1;

  Histogram();

  void add(std::uint64_t value_ns);
  void merge(const Histogram& other);

  std::uint64_t count() const { return count_; }
  std::uint64_t max_ns() const { return max_; }  // exact, up to kMaxValue
  double mean_ns() const;

  // The smallest bucket bound that at least `fraction` (0 to 1) of the values do not exceed: never below the exact
  // percentile, and at most 1/kSubBuckets above it. 0 without values.
  std::uint64_t percentile_ns(double fraction) const;

 private:
  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace qkms::bench
