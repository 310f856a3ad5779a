// qkms-loadgen: HTTPS load with client certificates, for bench/run.py and by hand. Prints one JSON object on standard
// output.
#include <fmt/format.h>
#include <signal.h>

#include <barrier>
#include <cstdio>
#include <deque>
#include <exception>
#include <thread>
#include <vector>

#include "bench/loadgen/worker.h"

namespace qkms::bench {
namespace {

// Connections spread over threads as evenly as they go.
std::uint32_t share_of(std::uint32_t total, std::uint32_t threads, std::uint32_t index) {
  return total / threads + (index < total % threads ? 1 : 0);
}

std::deque<Worker> run_all(Run& run) {
  const std::uint32_t threads = run.options.threads;
  std::deque<Worker> workers;
  for (std::uint32_t i = 0; i < threads; ++i) workers.emplace_back(run, share_of(run.options.connections, threads, i));
  std::int64_t start_ns = 0;
  std::barrier connected(threads, [&start_ns]() noexcept { start_ns = now_ns(); });
  {
    std::vector<std::jthread> running;
    for (std::uint32_t i = 0; i < threads; ++i) {
      running.emplace_back([&, i] {
        workers[i].connect();
        connected.arrive_and_wait();
        workers[i].run(start_ns, i);
      });
    }
  }
  return workers;
}

Result<void> generate(const Options& options) {
  auto endpoint = Endpoint::resolve(options.host, options.port);
  if (!endpoint) return std::unexpected(endpoint.error());
  auto tls = TlsClient::create(options);
  if (!tls) return std::unexpected(tls.error());
  auto workload = Workload::create(options);
  if (!workload) return std::unexpected(workload.error());
  Run run{options, *endpoint, *tls, *workload};
  Tally total;
  std::vector<std::vector<KeyIdText>> ids;
  for (const Worker& worker : run_all(run)) {
    total.merge(worker.tally());
    ids.push_back(worker.ids());
  }
  if (!options.ids_out.empty()) {
    if (auto written = write_key_ids(options.ids_out, ids); !written) return written;
  }
  fmt::print("{}\n", to_json(options, total));
  return {};
}

int report(const Error& error, int code) {
  fmt::print(stderr, "qkms-loadgen: {}\n", error.text);
  return code;
}

int main_of(std::span<char*> arguments) {
  if (arguments.size() == 1 && std::string_view(arguments[0]) == "--help") {
    fmt::print("{}", usage());
    return 0;
  }
  signal(SIGPIPE, SIG_IGN);
  const auto options = parse_options(arguments);
  if (!options) return report(options.error(), 2);
  const auto generated = generate(*options);
  return generated ? 0 : report(generated.error(), 1);
}

}  // namespace
}  // namespace qkms::bench

int main(int argc, char** argv) {
  try {
    return qkms::bench::main_of(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "qkms-loadgen: %s\n", e.what());
    return 1;
  }
}
