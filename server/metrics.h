// Counters of the daemon, and the page that Prometheus reads. Names, units and labels are documented in
// docs/operations.md. What the engine, the listeners and the transport count themselves is read when the page is asked
// for.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/secret_heap.h"
#include "drivers/link_watch.h"
#include "kms/event.h"
#include "kms/node.h"
#include "server/http/listener.h"
#include "server/parts.h"
#include "server/peer/transport.h"
#include "server/syslog_copy.h"

namespace qkms::server {

// The label `method` of a request.
enum class Method { kStatus, kEncKeys, kDecKeys, kOther };
inline constexpr std::size_t kMethods = static_cast<std::size_t>(Method::kOther) + 1;

// What is looked at for one page.
struct Observed {
  struct OneListener {
    std::string name;
    const http::ListenerStats* stats = nullptr;
  };
  std::vector<OneListener> listeners;
  const peer::TransportStats* peers = nullptr;
  std::vector<drivers::LinkStatus> links;
  kms::Node::State state = kms::Node::State::kClosed;
  std::size_t queue_depth = 0;
  std::uint64_t unseals_refused = 0;
  kms::Report report;
  std::vector<ListenerExpiries> expiries;
  std::uint64_t reloads = 0, reloads_refused = 0;
  SecretHeap::Figures secret_memory;
  const SyslogCounts* syslog = nullptr;
  std::uint64_t clock_steps = 0;
  std::int64_t clock_behind_s = 0;
};

// Thread rule: any thread.
class Metrics {
 public:
  Metrics();
  ~Metrics();

  void request_done(Method method, int status, std::chrono::steady_clock::duration took);
  void noticed(kms::NoticeKind kind);

  // The text format 0.0.4 of Prometheus.
  std::string page(const Observed& observed) const;

 private:
  struct Registry;
  std::unique_ptr<Registry> registry_;
};

}  // namespace qkms::server
