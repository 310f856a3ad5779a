// See scenarios.h.
#include "bench/store/scenarios.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "bench/store/bare_store.h"
#include "bench/store/probe.h"
#include "bench/store/qkms_store.h"

namespace qkms::bench {
namespace {

constexpr std::uint64_t kAuditBytes = 8 << 20;  // reached soon, so that old lines go with each commit as they will
constexpr std::size_t kKeysPerFilling = 16384;  // a commit, while a store is made
constexpr std::size_t kBlocksPerCommit = 8;

void say(const std::string& text) {
  std::fputs((text + "\n").c_str(), stderr);
  std::fflush(stderr);
}

bool is_late(const Options& options) { return std::chrono::steady_clock::now() >= options.deadline; }

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

// The smallest value that at least `fraction` of them do not exceed.
double percentile(const std::vector<double>& sorted, double fraction) {
  const auto rank = static_cast<std::size_t>(fraction * static_cast<double>(sorted.size()));
  return sorted.empty() ? 0 : sorted[std::min(rank, sorted.size() - 1)];
}

// Two stores, three lanes.
std::vector<Lane> make_lanes(const std::filesystem::path& folder) {
  const auto qkms = std::make_shared<QkmsStore>(folder / "qkms", kAuditBytes);
  const auto bare = std::make_shared<BareStore>(folder / "bare", kAuditBytes);
  const auto bare_stock = std::make_shared<Stock>();
  return {{"qkms", qkms, std::make_shared<Stock>(), Rows::kAll},
          {"bare", bare, bare_stock, Rows::kKeys},
          {"bare_all", bare, bare_stock, Rows::kAll}};
}

bool is_first_of_its_store(const std::vector<Lane>& lanes, const Lane& lane) {
  return std::ranges::find(lanes, lane.store, &Lane::store)->name == lane.name;
}

// --- size: rows and bytes per stored key

// The stores grow to that many assignments; ends early at the deadline.
void fill(Field& field, Lane& lane, std::uint64_t target) {
  const std::uint64_t before = lane.stock->count();
  const std::uint64_t bytes_before = lane.store->size_bytes();
  Spent spent;
  while (lane.stock->count() < target && !is_late(field.options)) {
    spent += lane.store->put(lane.stock->fresh(std::min<std::size_t>(kKeysPerFilling, target - lane.stock->count())));
  }
  lane.store->close();  // which copies the log into the file
  lane.store->open();
  const auto grown = static_cast<double>(std::max<std::uint64_t>(lane.stock->count() - before, 1));
  const double bytes = static_cast<double>(lane.store->size_bytes() - bytes_before) / grown;
  say(fmt::format("  {:<9} {:>9} stored: {:.0f} bytes a key, filled at {:.0f} keys/s", lane.name, lane.stock->count(),
                  bytes, grown / spent.wall_s));
  field.results.row("size", lane.name)
      .number("stored", static_cast<double>(lane.stock->count()))
      .number("bytes_per_key", bytes)
      .number("fill_keys_per_s", grown / spent.wall_s);
}

// --- operations: what a key costs in batches of 64

Spent put(Lane& lane) { return lane.store->put(lane.stock->fresh(kKeysPerCommit)); }
Spent deliver(Lane& lane) { return lane.store->deliver(lane.stock->oldest(kKeysPerCommit)); }
// Where deliveries alone are measured, nothing else puts what they take.
void refill(Lane& lane) {
  if (lane.stock->count() < kKeysPerCommit) put(lane);
}
Spent deliver_scattered(Lane& lane) { return lane.store->deliver(lane.stock->scattered(kKeysPerCommit)); }
Spent take(Lane& lane) { return lane.store->take(kKeysPerCommit); }
Spent ingest(Lane& lane) { return lane.store->ingest(kBlocksPerCommit); }

struct Operation {
  const char* name;
  Spent (*run)(Lane& lane);
  void (*before)(Lane& lane);  // once a commit, unmeasured; so that as many assignments stay. May be null
  double units;                // of one run: keys, or MB
  std::size_t share = 1;       // of the commits of a round, one in so many: large ones
};

const Operation kOperations[] = {
    {"put", put, nullptr, kKeysPerCommit},
    {"deliver", deliver, refill, kKeysPerCommit},
    {"deliver_scattered", deliver_scattered, [](Lane& lane) { put(lane); }, kKeysPerCommit},
    {"take", take, nullptr, kKeysPerCommit},
    {"ingest_mb", ingest, nullptr, 1e-6 * kBlocksPerCommit* kBlockBytes, 5},
};

bool is_operation(const std::string& name) {
  return std::ranges::find(kOperations, name, &Operation::name) != std::end(kOperations);
}

Spent run_round(const Operation& operation, Lane& lane, std::size_t commits) {
  Spent spent;
  lane.store->use(lane.rows);
  for (std::size_t i = 0; i < commits; ++i) {
    if (operation.before != nullptr) operation.before(lane);
    spent += operation.run(lane);
  }
  return spent;
}

struct Rounds {
  std::vector<double> wall_us, cpu_us, written_bytes;  // per unit
};

void report(Field& field, const Operation& operation, const Lane& lane, const Rounds& rounds) {
  say(fmt::format("  {:<17} {:<9} {:>10.1f} /s, {:>8.2f} us, CPU {:>8.2f} us", operation.name, lane.name,
                  1e6 / median(rounds.wall_us), median(rounds.wall_us), median(rounds.cpu_us)));
  field.results.row(operation.name, lane.name)
      .number("stored", static_cast<double>(field.stored))
      .numbers("wall_us", rounds.wall_us)
      .numbers("cpu_us", rounds.cpu_us)
      .numbers("written_bytes", rounds.written_bytes);
}

// The lanes take turns, so that a slow minute of the machine meets all of them. The first round only warms up.
void run_operation(Field& field, const Operation& operation) {
  std::vector<Rounds> all(field.lanes.size());
  for (std::size_t round = 0; round <= field.options.rounds && (round < 2 || !is_late(field.options)); ++round) {
    for (std::size_t i = 0; i < field.lanes.size(); ++i) {
      const std::size_t commits = field.options.commits / operation.share;
      const Spent spent = run_round(operation, field.lanes[i], commits);
      if (round == 0) continue;
      const double units = operation.units * static_cast<double>(commits);
      all[i].wall_us.push_back(1e6 * spent.wall_s / units);
      all[i].cpu_us.push_back(1e6 * spent.cpu_s / units);
      all[i].written_bytes.push_back(static_cast<double>(spent.written_bytes) / units);
    }
  }
  for (std::size_t i = 0; i < field.lanes.size(); ++i) report(field, operation, field.lanes[i], all[i]);
}

void run_operations(Field& field) {
  const std::string& only = field.options.only;
  const bool all = !is_operation(only);
  for (const Operation& operation : kOperations) {
    if (all || only == operation.name) run_operation(field, operation);
  }
}

// --- stalls: commits with a checkpoint in them beside those without

void report_stalls(Field& field, const Lane& lane, const char* kind, std::vector<double> ms) {
  std::ranges::sort(ms);
  say(fmt::format("  {:<9} {:<10} {:>5} commits: p50 {:.2f} ms, p99 {:.2f} ms, max {:.2f} ms", lane.name, kind,
                  ms.size(), percentile(ms, 0.5), percentile(ms, 0.99), percentile(ms, 1)));
  field.results.row(kind, lane.name)
      .number("stored", static_cast<double>(field.stored))
      .number("commits", static_cast<double>(ms.size()))
      .number("p50_ms", percentile(ms, 0.5))
      .number("p99_ms", percentile(ms, 0.99))
      .number("max_ms", percentile(ms, 1));
}

void run_stalls(Field& field) {
  const std::size_t kinds = field.lanes.size();
  std::vector<std::vector<double>> quiet(kinds), stalled(kinds);
  for (std::size_t commit = 0; commit < field.options.stall_commits && !is_late(field.options); ++commit) {
    for (std::size_t i = 0; i < kinds; ++i) {
      Lane& lane = field.lanes[i];
      lane.store->use(lane.rows);
      const Spent spent = commit % 2 == 0 ? put(lane) : deliver(lane);
      (spent.checkpoints == 0 ? quiet : stalled)[i].push_back(1e3 * spent.wall_s);
    }
  }
  for (std::size_t i = 0; i < kinds; ++i) {
    report_stalls(field, field.lanes[i], "commit", std::move(quiet[i]));
    report_stalls(field, field.lanes[i], "checkpoint", std::move(stalled[i]));
  }
}

// --- start: how long an opening takes, and what stays in memory

void report_start(Field& field, const Lane& lane, const Probe& cold, const Probe& warm) {
  constexpr double kMiB = 1 << 20;
  say(fmt::format("  {:<9} start {:.2f} s (cold {:.2f} s, CPU {:.2f} s), memory {:.1f} MiB, after work {:.1f} MiB",
                  lane.name, warm.open_s, cold.open_s, warm.open_cpu_s, static_cast<double>(warm.opened_bytes) / kMiB,
                  static_cast<double>(warm.worked_bytes) / kMiB));
  field.results.row("start", lane.name)
      .number("stored", static_cast<double>(field.stored))
      .number("warm_s", warm.open_s)
      .number("warm_cpu_s", warm.open_cpu_s)
      .number("cold_s", cold.open_s)
      .number("rss_anon_opened_bytes", static_cast<double>(warm.opened_bytes))
      .number("rss_anon_worked_bytes", static_cast<double>(warm.worked_bytes))
      .number("rss_peak_bytes", static_cast<double>(warm.peak_bytes))
      .number("work_keys", static_cast<double>(field.options.work_keys));
}

void run_start(Field& field) {
  for (const Lane& lane : field.lanes) {
    if (!is_first_of_its_store(field.lanes, lane)) continue;
    lane.store->close();
    const auto probe_of = [&](Cache cache, std::uint64_t keys) {
      return probe(field.options.program, lane.name, lane.store->file().parent_path(), cache, lane.stock->next(), keys);
    };
    const Probe cold = probe_of(Cache::kCold, 0);
    const Probe warm = probe_of(Cache::kWarm, field.options.work_keys);
    lane.store->open();
    report_start(field, lane, cold, warm);
  }
}

// --- churn: the size on disk while keys come and go

void run_churn(Field& field, Lane& lane) {
  const Options& options = field.options;
  constexpr std::uint64_t kPoints = 50;
  std::vector<double> keys, store_bytes, log_bytes;
  Spent spent;
  std::uint64_t gone = 0;
  for (std::uint64_t point = 1; point <= kPoints && !is_late(options); ++point) {
    for (; gone < options.churn_keys * point / kPoints && !is_late(options); gone += kKeysPerLargeCommit) {
      while (lane.stock->count() < options.churn_window) {
        spent += lane.store->put(lane.stock->fresh(kKeysPerLargeCommit));
      }
      spent += lane.store->deliver(lane.stock->oldest(kKeysPerLargeCommit));
    }
    keys.push_back(static_cast<double>(gone));
    store_bytes.push_back(static_cast<double>(lane.store->size_bytes()));
    log_bytes.push_back(static_cast<double>(lane.store->log_bytes()));
  }
  if (keys.empty()) return say(fmt::format("  {:<9} no time left", lane.name));
  say(fmt::format("  {:<9} {} keys came and went at {:.0f} keys/s: {:.1f} MB, log {:.1f} MB", lane.name, gone,
                  static_cast<double>(gone) / spent.wall_s, 1e-6 * store_bytes.back(), 1e-6 * log_bytes.back()));
  field.results.row("churn", lane.name)
      .number("window", static_cast<double>(options.churn_window))
      .number("keys_per_s", static_cast<double>(gone) / spent.wall_s)
      .number("cpu_us_per_key", 1e6 * spent.cpu_s / static_cast<double>(gone))
      .numbers("keys", keys)
      .numbers("store_bytes", store_bytes)
      .numbers("log_bytes", log_bytes);
}

void run_churns(Field& field) {
  const std::filesystem::path folder = field.options.folder / "churn";
  for (Lane& lane : make_lanes(folder)) {
    if (lane.name == std::string_view("bare_all")) continue;
    lane.store->use(lane.rows);
    run_churn(field, lane);
  }
  std::filesystem::remove_all(folder);
}

const Scenario kScenarios[] = {
    {"operations", "put, deliver, take, ingest in batches of 64", When::kAtEachSize, run_operations},
    {"stalls", "how long commits take with a checkpoint in them and without", When::kAtEachSize, run_stalls},
    {"start", "opening, and resident memory", When::kAtEachSize, run_start},
    {"churn", "size on disk while keys come and go", When::kOnce, run_churns},
};

bool is_wanted(const Options& options, const Scenario& scenario) {
  return options.only.empty() || options.only == scenario.name ||
         (scenario.run == run_operations && is_operation(options.only));
}

void run_at(Field& field, std::uint64_t size) {
  say(fmt::format("{} stored assignments", size));
  for (Lane& lane : field.lanes) {
    if (is_first_of_its_store(field.lanes, lane)) fill(field, lane, size);
  }
  field.stored = size;
  for (const Scenario& scenario : kScenarios) {
    if (scenario.when != When::kAtEachSize || !is_wanted(field.options, scenario)) continue;
    say(fmt::format(" {}: {}", scenario.name, scenario.what));
    scenario.run(field);
  }
}

}  // namespace

std::span<const Scenario> scenarios() { return kScenarios; }

void run_all(const Options& options, Results& results) {
  const auto is_due = [&](const Scenario& scenario, When when) {
    return scenario.when == when && is_wanted(options, scenario);
  };
  if (std::ranges::any_of(kScenarios, [&](const Scenario& s) { return is_due(s, When::kAtEachSize); })) {
    Field field{options, results, make_lanes(options.folder)};
    for (const std::uint64_t size : options.sizes) {
      if (is_late(options)) {
        say(fmt::format("no time left for {} stored assignments", size));
      } else {
        run_at(field, size);
      }
    }
  }
  for (const Scenario& scenario : kScenarios) {
    if (!is_due(scenario, When::kOnce) || is_late(options)) continue;
    say(fmt::format("{}: {}", scenario.name, scenario.what));
    Field field{options, results, {}};
    scenario.run(field);
  }
}

}  // namespace qkms::bench
