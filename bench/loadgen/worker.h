// One thread of the generator: some connections, one epoll loop.
//
// Operation: connect(), then run(), each once; tally() and ids() afterwards. Connecting is not measured, unless it
// belongs to the request. Concurrency: one thread; the workload, the TLS context and the budget are shared. Limits:
// every wait is bounded by the timeout of the options; after the end of a run only requests under way are waited for.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "bench/loadgen/exchange.h"
#include "bench/loadgen/tally.h"
#include "bench/loadgen/tls.h"
#include "bench/loadgen/workload.h"

namespace qkms::bench {

// What the workers of a run have in common. Must outlive them.
struct Run {
  const Options& options;
  const Endpoint& endpoint;
  const TlsClient& tls;
  const Workload& workload;
  std::atomic<std::uint64_t> measured_requests = 0;  // claimed so far
};

class Worker {
 public:
  Worker(Run& run, std::uint32_t connections);
  ~Worker();

  // Opens all connections. What fails here is tried again, and counted, by the first request.
  void connect();
  // `index` of so many threads shifts the open loop's beat.
  void run(std::int64_t start_ns, std::uint32_t index);

  const Tally& tally() const { return tally_; }
  const std::vector<KeyIdText>& ids() const { return ids_; }

 private:
  struct Plan {  // steady-clock nanoseconds
    std::int64_t measure_from = 0, stop_at = 0;
    std::int64_t next_due = 0, interval = 0;  // interval 0: closed loop
  };

  void issue_all();
  bool may_issue(std::int64_t now);
  bool issue(Exchange& exchange, std::int64_t now);
  void wait_and_drive();
  std::int64_t wait_ns(std::int64_t now) const;
  void watch(Exchange& exchange);
  void finish(Exchange& exchange, std::int64_t now);
  void count(const Exchange& exchange, std::int64_t now);
  void end_late_ones(std::int64_t now);
  void wake_resting(std::int64_t now);
  void stop(std::int64_t now);

  Run& run_;
  int epoll_;
  Plan plan_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::deque<Exchange*> idle_;
  std::deque<Exchange*> resting_;  // after a failure a connection pauses, so that a dead server is not hammered
  std::size_t under_way_ = 0;
  bool stopped_ = false;
  double cpu_before_ = 0;  // when the warm-up ended
  std::int64_t next_sweep_ns_ = 0;
  Tally tally_;
  std::vector<KeyIdText> ids_;
  std::vector<char> buffer_;
};

std::int64_t now_ns();

}  // namespace qkms::bench
