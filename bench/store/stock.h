// Which records a store has: numbers go up, and the oldest go first, except for those that were fetched out of turn.
#pragma once

#include <cstdint>
#include <random>
#include <unordered_set>
#include <vector>

namespace qkms::bench {

class Stock {
 public:
  explicit Stock(std::uint64_t next = 1) : oldest_(next), next_(next) {}

  std::uint64_t count() const { return next_ - oldest_ - gone_.size(); }
  std::uint64_t next() const { return next_; }

  // Numbers that come in.
  std::vector<std::uint64_t> fresh(std::size_t count) {
    std::vector<std::uint64_t> records;
    while (records.size() < count) records.push_back(next_++);
    return records;
  }
  // Numbers that go, the oldest first. There must be as many.
  std::vector<std::uint64_t> oldest(std::size_t count) {
    std::vector<std::uint64_t> records;
    for (; records.size() < count; ++oldest_) {
      if (gone_.erase(oldest_) == 0) records.push_back(oldest_);
    }
    return records;
  }
  // Numbers that go, drawn from all that are there: far more than `count`.
  std::vector<std::uint64_t> scattered(std::size_t count) {
    std::uniform_int_distribution<std::uint64_t> any(oldest_, next_ - 1);
    std::vector<std::uint64_t> records;
    while (records.size() < count) {
      if (const std::uint64_t record = any(random_); gone_.insert(record).second) records.push_back(record);
    }
    return records;
  }

 private:
  std::uint64_t oldest_, next_;
  std::unordered_set<std::uint64_t> gone_;
  std::mt19937_64 random_{42};  // the same for all contestants
};

}  // namespace qkms::bench
