// qkms-store-bench: what the store costs beside bare SQLite in the same run. bench/store.py runs it and shows what it
// found; by hand it says on standard error what it does and prints all figures as JSON at the end.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string_view>

#include "bench/store/probe.h"
#include "bench/store/scenarios.h"

namespace qkms::bench {
namespace {

std::string usage() {
  std::string text =
      "usage: qkms-store-bench --dir FOLDER [--quick] [--seconds N] [--commits N] [--only SCENARIO]\n"
      "  --dir FOLDER    where the stores are for the time of the run: an empty folder on the disk to be measured\n"
      "  --quick         fewer and smaller points: under a minute\n"
      "  --seconds N     begins nothing more after so long (default 900; quick: 50)\n"
      "  --commits N     in a round of an operation (default 100; quick: 30)\n"
      "  --only SCENARIO one of these, or one operation\n";
  for (const Scenario& scenario : scenarios()) text += fmt::format("    {:<12}{}\n", scenario.name, scenario.what);
  return text;
}

void make_quick(Options& options) {
  options.sizes = {10'000, 200'000};
  options.rounds = 3;
  options.commits = 30;
  options.stall_commits = 300;
  options.work_keys = 50'000;
  options.churn_keys = 200'000;
  options.churn_window = 10'000;
}

Options parse(std::span<char*> arguments) {
  Options options;
  options.sizes = {10'000, 1'000'000, 10'000'000};
  options.program = std::filesystem::read_symlink("/proc/self/exe");
  long seconds = 0;
  std::size_t commits = 0;
  bool quick = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view name = arguments[i];
    const auto value = [&] {
      if (i + 1 == arguments.size()) throw std::invalid_argument(fmt::format("{} needs a value", name));
      return std::string(arguments[++i]);
    };
    if (name == "--quick") {
      quick = true;
    } else if (name == "--dir") {
      options.folder = value();
    } else if (name == "--only") {
      options.only = value();
    } else if (name == "--seconds") {
      seconds = std::stol(value());
    } else if (name == "--commits") {
      commits = std::stoul(value());
    } else {
      throw std::invalid_argument(fmt::format("unknown argument: {}", name));
    }
  }
  if (options.folder.empty()) throw std::invalid_argument("--dir is missing");
  if (quick) make_quick(options);
  if (commits != 0) options.commits = commits;
  if (seconds == 0) seconds = quick ? 50 : 900;
  options.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  return options;
}

int main_of(std::span<char*> arguments) {
  if (arguments.size() == 1 && std::string_view(arguments[0]) == "--help") {
    fmt::print("{}", usage());
    return 0;
  }
  if (arguments.size() == 5 && std::string_view(arguments[0]) == "--probe") return run_probe(arguments.subspan(1));
  Options options;
  try {
    options = parse(arguments);
  } catch (const std::invalid_argument& error) {
    fmt::print(stderr, "qkms-store-bench: {}\n{}", error.what(), usage());
    return 2;
  }
  Results results;
  run_all(options, results);
  fmt::print("{}\n", results.json());
  return 0;
}

}  // namespace
}  // namespace qkms::bench

int main(int argc, char** argv) {
  try {
    return qkms::bench::main_of(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "qkms-store-bench: %s\n", e.what());
    return 1;
  }
}
