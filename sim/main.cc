// qkms-sim: runs many seeds, or one with a trace; ends with exit code 1 and a way to reproduce when an invariant does
// not hold.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include "sim/checker.h"
#include "sim/world.h"

namespace qkms::sim {
namespace {

constexpr std::string_view kUsage =
    "qkms-sim [--seeds N] [--from S] [--threads T] [--trace] [--expect RULE[,RULE...]]\n"
    "  Simulates N worlds (default 1000) with the seeds S, S+1, ... and checks what happened in each.\n"
    "  --trace    one seed only, and tells what happens; the same as QKMS_SEED=S --trace\n"
    "  --expect   for builds with a planted bug: succeeds when a seed violates one of these rules, fails when none "
    "does\n"
    "  QKMS_SEED=S in the environment runs this one seed.\n";

struct Options {
  std::uint64_t seeds = 1000;
  std::uint64_t from = 1;
  unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  Tracing tracing = Tracing::kOff;
  std::string expect;
};

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Options> read_options(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = arguments[i];
    if (name == "--trace") {
      options.tracing = Tracing::kOn;
      options.seeds = 1;
      continue;
    }
    if (i + 1 == count) return std::nullopt;
    const std::string_view text = arguments[++i];
    if (name == "--expect") {
      options.expect = text;
      continue;
    }
    const auto value = number_in(text);
    if (!value) return std::nullopt;
    if (name == "--seeds") {
      options.seeds = *value;
    } else if (name == "--from") {
      options.from = *value;
    } else if (name == "--threads" && *value >= 1 && *value <= 256) {
      options.threads = static_cast<unsigned>(*value);
    } else {
      return std::nullopt;
    }
  }
  if (const char* seed = std::getenv("QKMS_SEED"); seed != nullptr) {
    const auto value = number_in(seed);
    if (!value) return std::nullopt;
    options.from = *value;
    options.seeds = 1;
  }
  return options;
}

struct Failure {
  std::uint64_t seed = 0;
  std::vector<Violation> violations;
};

// Seeds are handed out to threads one by one; everything but the next number is under the lock.
class Campaign {
 public:
  explicit Campaign(const Options& options) : options_(options) {}

  void run() {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < std::min<std::uint64_t>(options_.threads, options_.seeds); ++i)
      threads.emplace_back([this] { work(); });
  }

  std::vector<Failure> failures() {
    std::ranges::sort(failures_, {}, &Failure::seed);
    return std::move(failures_);
  }
  const Counts& counts() const { return counts_; }
  std::uint64_t seeds_done() const { return done_; }

 private:
  void work() {
    while (!enough_) {
      const std::uint64_t number = next_++;
      if (number >= options_.seeds) return;
      World world(options_.from + number, options_.tracing);
      world.run();
      note(options_.from + number, check(world.history()), world.counts());
    }
  }

  void note(std::uint64_t seed, std::vector<Violation> violations, const Counts& counts) {
    const std::lock_guard lock(mutex_);
    counts_.add(counts);
    ++done_;
    if (done_ % 1000 == 0) fmt::print(stderr, "{} of {} seeds\n", done_, options_.seeds);
    if (!options_.expect.empty()) std::erase_if(violations, [&](const Violation& v) { return !expected(v.rule); });
    if (violations.empty()) return;
    failures_.push_back({seed, std::move(violations)});
    if (failures_.size() >= 5 || !options_.expect.empty()) enough_ = true;
  }

  bool expected(Rule rule) const {
    return ("," + options_.expect + ",").find(fmt::format(",{},", name_of(rule))) != std::string::npos;
  }

  const Options& options_;
  std::atomic<std::uint64_t> next_ = 0;
  std::atomic<bool> enough_ = false;
  std::mutex mutex_;
  Counts counts_;
  std::uint64_t done_ = 0;
  std::vector<Failure> failures_;
};

void print_failures(const std::vector<Failure>& failures) {
  for (const Failure& failure : failures) {
    fmt::print("seed {}: {} violations; reproduce with QKMS_SEED={} qkms-sim --trace\n", failure.seed,
               failure.violations.size(), failure.seed);
    for (std::size_t i = 0; i < std::min<std::size_t>(failure.violations.size(), 6); ++i) {
      fmt::print("  {}: {}\n", name_of(failure.violations[i].rule), failure.violations[i].text);
    }
  }
}

int run(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  Campaign campaign(options);
  campaign.run();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  print(campaign.counts());
  const auto failures = campaign.failures();
  print_failures(failures);
  const Counts& counts = campaign.counts();
  const std::uint64_t crashes =
      counts.of(Count::kCrashBefore) + counts.of(Count::kCrashAfter) + counts.of(Count::kCrashInCommit);
  fmt::print(
      "qkms-sim: {} seeds in {:.1f} s, {} steps, {} keys to masters and {} to slaves, {} crashes, {} seeds with "
      "violations\n",
      campaign.seeds_done(), took.count(), counts.of(Count::kSteps), counts.of(Count::kKeysToMasters),
      counts.of(Count::kKeysToSlaves), crashes, failures.size());
  return failures.empty() == options.expect.empty() ? 0 : 1;
}

}  // namespace
}  // namespace qkms::sim

int main(int count, char** arguments) {
  const auto options = qkms::sim::read_options(count, arguments);
  if (!options) {
    fmt::print(stderr, "{}", qkms::sim::kUsage);
    return 2;
  }
  return qkms::sim::run(*options);
}
