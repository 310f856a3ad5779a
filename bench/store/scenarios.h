// What qkms-store-bench measures: a table of scenarios. Those of kAtEachSize run once for each number of stored
// assignments, on stores that grow from one to the next; those of kOnce make stores of their own.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bench/store/contestant.h"
#include "bench/store/results.h"
#include "bench/store/stock.h"

namespace qkms::bench {

struct Options {
  std::filesystem::path folder;      // of this run; whoever made it removes it
  std::filesystem::path program;     // this one, for probes in a process of their own
  std::vector<std::uint64_t> sizes;  // numbers of stored assignments, ascending
  std::size_t rounds = 7;            // of each operation; the contestants take turns in each
  std::size_t commits = 100;         // in one round of one operation
  std::size_t stall_commits = 3000;
  std::uint64_t work_keys = 1'000'000;             // that come and go before memory is looked at again
  std::uint64_t churn_keys = 10'000'000;           // that come and go while the size is watched
  std::uint64_t churn_window = 100'000;            // of which so many are there at a time
  std::string only;                                // one scenario or one operation; empty: all
  std::chrono::steady_clock::time_point deadline;  // what has not ended by then is cut short, and said to be
};

// A store under measurement. Two lanes may share one.
struct Lane {
  const char* name;
  std::shared_ptr<Contestant> store;
  std::shared_ptr<Stock> stock;
  Rows rows;
};

struct Field {
  const Options& options;
  Results& results;
  std::vector<Lane> lanes;   // the store of qkmsd, the bare one, and the bare one with all rows; none for kOnce
  std::uint64_t stored = 0;  // in each
};

enum class When { kAtEachSize, kOnce };

struct Scenario {
  const char* name;
  const char* what;
  When when;
  void (*run)(Field& field);
};
std::span<const Scenario> scenarios();

// All of them, or the one that the options name.
void run_all(const Options& options, Results& results);

}  // namespace qkms::bench
