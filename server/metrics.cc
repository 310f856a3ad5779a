#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>

#include "server/log.h"
#include "server/version.h"

namespace qkms::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::array<const char*, kMethods> kMethodNames = {"status", "enc_keys", "dec_keys", "other"};
constexpr std::array kStatuses = {200, 400, 401, 404, 405, 413, 415, 429, 431, 501, 503};
constexpr std::size_t kStatusLabels = kStatuses.size() + 1;  // the last one is "other"

std::size_t label_of(int status) {
  return static_cast<std::size_t>(std::ranges::find(kStatuses, status) - kStatuses.begin());
}

// Families that are made anew for each page.
class Page {
 public:
  using Labels = std::vector<ClientMetric::Label>;

  void family(MetricType type, const char* name, const char* help) { families_.push_back({name, help, type, {}}); }
  // Of the family named last.
  void value(Labels labels, std::uint64_t number) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (families_.back().type == MetricType::Counter) {
      metric.counter.value = static_cast<double>(number);
    } else {
      metric.gauge.value = static_cast<double>(number);
    }
    families_.back().metric.push_back(std::move(metric));
  }
  void one(MetricType type, const char* name, const char* help, std::uint64_t number) {
    family(type, name, help);
    value({}, number);
  }
  std::vector<MetricFamily> take() { return std::move(families_); }

 private:
  std::vector<MetricFamily> families_;
};

void write_reservoirs(const kms::Report& report, Page& page) {
  page.family(MetricType::Gauge, "qkms_reservoir_bits",
              "Where the bits of the reservoir shared with a peer went; in = the sum of all others.");
  for (const auto& one : report.reservoirs) {
    const std::pair<const char*, std::uint64_t> columns[] = {
        {"in", one.ledger.in},
        {"macs", one.ledger.macs},
        {"quarantined", one.ledger.quarantined},
        {"in_flight", one.ledger.in_flight},
        {"held", one.ledger.held},
        {"delivered", one.ledger.delivered},
        {"pads", one.ledger.pads},
        {"burned", one.ledger.burned},
        {"expired", one.ledger.expired},
        {"available_own", one.available_own_bits},
        {"available_peer", one.available_peer_bits},
    };
    for (const auto& [category, bits] : columns) page.value({{"peer", one.peer.str()}, {"category", category}}, bits);
  }
  page.family(MetricType::Gauge, "qkms_peer_session_up", "1 while there is a session with the peer.");
  for (const auto& one : report.reservoirs) page.value({{"peer", one.peer.str()}}, one.session_up ? 1 : 0);
  page.family(MetricType::Gauge, "qkms_peer_outbox_messages", "Messages that the peer has not acknowledged.");
  for (const auto& one : report.reservoirs) page.value({{"peer", one.peer.str()}}, one.outbox);
}

void write_divergences(const kms::Report& report, Page& page) {
  page.family(MetricType::Counter, "qkms_pair_divergences_total",
              "How often all that is shared with a peer was burned, by what the two found.");
  for (const auto& one : report.reservoirs) {
    for (std::size_t i = 0; i < kms::kDivergences; ++i) {
      const auto reason = std::string(kms::name_of(static_cast<kms::Divergence>(i)));
      page.value({{"peer", one.peer.str()}, {"reason", reason}}, one.divergences[i]);
    }
  }
  page.family(MetricType::Counter, "qkms_pair_comparisons_total", "How often accounts were compared with a peer's.");
  for (const auto& one : report.reservoirs) page.value({{"peer", one.peer.str()}}, one.comparisons);
}

// Only SAEs that asked anything: there may be thousands.
void write_saes(const kms::Report& report, Page& page) {
  const auto each = [&](const char* name, const char* help, std::uint64_t kms::SaeReport::* member) {
    page.family(MetricType::Counter, name, help);
    for (const auto& [sae, counts] : report.saes) page.value({{"sae", sae.str()}}, counts.*member);
  };
  each("qkms_sae_keys_total", "Keys given to an SAE as a master.", &kms::SaeReport::keys);
  each("qkms_sae_fetched_total", "Keys given to an SAE by key ID, as a slave.", &kms::SaeReport::fetched);
  each("qkms_sae_limited_total", "Requests refused by a rate, a quota or another pair's reserve.",
       &kms::SaeReport::limited);
  each("qkms_sae_misses_total", "Requests for key IDs that the SAE could not have.", &kms::SaeReport::misses);
}

// What drivers and the tests of their bits say.
void write_drivers(const std::vector<drivers::LinkStatus>& links, Page& page) {
  const auto each = [&](MetricType type, const char* name, const char* help, auto read) {
    page.family(type, name, help);
    for (const auto& one : links) page.value({{"link", one.link.str()}}, read(one));
  };
  using Status = drivers::LinkStatus;
  each(MetricType::Gauge, "qkms_link_simulated", "1: THE LINK IS SIMULATED, ITS KEYS ARE NOT SECRET.",
       [](const Status& one) { return one.simulated ? 1u : 0u; });
  each(MetricType::Gauge, "qkms_link_running", "1 while the link's driver runs.",
       [](const Status& one) { return one.state == drivers::LinkState::kRunning ? 1u : 0u; });
  each(MetricType::Gauge, "qkms_link_held",
       "1 while a block waits: the reservoir is full, the store closed or sealed, or work queues up.",
       [](const Status& one) { return one.held.empty() ? 0u : 1u; });
  each(MetricType::Counter, "qkms_link_restarts_total", "Times that the driver ended and was started again.",
       [](const Status& one) { return one.restarts; });
  each(MetricType::Counter, "qkms_link_bytes_total", "Bytes of the blocks that were let in.",
       [](const Status& one) { return one.bytes; });
  each(MetricType::Counter, "qkms_link_quarantined_total", "Blocks that failed a health test, or came soon after one.",
       [](const Status& one) { return one.quarantined; });
  each(MetricType::Counter, "qkms_link_rejected_total", "What came from a device and was no block.",
       [](const Status& one) { return one.rejected; });
  each(MetricType::Gauge, "qkms_link_rate_bits_per_second", "What was let in, over about the last minute.",
       [](const Status& one) { return static_cast<std::uint64_t>(one.rate_bps); });
  page.family(MetricType::Gauge, "qkms_link_qber_ppm",
              "The quantum bit error rate that the device states, in millionths.");
  for (const auto& one : links) {
    if (one.device.qber) page.value({{"link", one.link.str()}}, static_cast<std::uint64_t>(*one.device.qber * 1e6));
  }
  page.family(MetricType::Gauge, "qkms_link_alarm", "1 while something is wrong with the link.");
  for (const auto& one : links) {
    for (std::size_t kind = 0; kind < drivers::kLinkAlarms; ++kind) {
      const auto alarm = static_cast<drivers::LinkAlarm>(kind);
      const bool on = std::ranges::count(one.alarms, alarm, [](const auto& entry) { return entry.first; }) > 0;
      page.value({{"link", one.link.str()}, {"alarm", std::string(drivers::name_of(alarm))}}, on ? 1 : 0);
    }
  }
}

void write_links(const Observed& observed, Page& page) {
  page.family(MetricType::Counter, "qkms_link_blocks_total",
              "Blocks of a link since the start, by what became of them.");
  for (const auto& one : observed.report.links) {
    const std::pair<const char*, std::uint64_t> outcomes[] = {
        {"received", one.blocks_received}, {"accepted", one.blocks_accepted}, {"mismatched", one.blocks_mismatched},
        {"expired", one.blocks_expired},   {"repeated", one.blocks_repeated}, {"refused", one.blocks_refused},
    };
    for (const auto& [outcome, count] : outcomes) page.value({{"link", one.link.str()}, {"outcome", outcome}}, count);
  }
  page.family(MetricType::Gauge, "qkms_link_pending_blocks", "Blocks that wait for the other end's.");
  for (const auto& one : observed.report.links) page.value({{"link", one.link.str()}}, one.pending_blocks);
  write_drivers(observed.links, page);
}

void write_listeners(const Observed& observed, Page& page) {
  const auto each = [&](MetricType type, const char* name, const char* help, auto read) {
    page.family(type, name, help);
    for (const auto& one : observed.listeners) page.value({{"listener", one.name}}, read(*one.stats));
  };
  using Stats = http::ListenerStats;
  each(MetricType::Gauge, "qkms_connections", "Open connections.",
       [](const Stats& stats) { return static_cast<std::uint64_t>(std::max<std::int64_t>(0, stats.open)); });
  each(MetricType::Counter, "qkms_connections_total", "Connections accepted.",
       [](const Stats& stats) { return stats.accepted.load(); });
  each(MetricType::Counter, "qkms_connections_turned_away_total", "Connections closed because there were too many.",
       [](const Stats& stats) { return stats.turned_away.load(); });
  each(MetricType::Counter, "qkms_evicted_connections_total",
       "Open connections whose certificate or name was not let in any more after a reload.",
       [](const Stats& stats) { return stats.evicted.load(); });
  each(MetricType::Counter, "qkms_not_served_connections_total",
       "Connections with a good certificate of nobody served.",
       [](const Stats& stats) { return stats.not_served.load(); });
  each(MetricType::Counter, "qkms_failed_handshakes_total", "TLS handshakes that failed.",
       [](const Stats& stats) { return stats.failed_handshakes.load(); });
  each(MetricType::Counter, "qkms_timed_out_connections_total", "Connections closed at a deadline.",
       [](const Stats& stats) { return stats.timed_out.load(); });
  each(MetricType::Counter, "qkms_accept_pauses_total", "Pauses because descriptors or memory ran out.",
       [](const Stats& stats) { return stats.accept_pauses.load(); });
  each(MetricType::Counter, "qkms_internal_errors_total", "Connections that ended by a mistake of ours.",
       [](const Stats& stats) { return stats.internal_errors.load(); });
}

void write_peers(const peer::TransportStats& stats, Page& page) {
  page.one(MetricType::Counter, "qkms_peer_sessions_total", "Sessions established with peers.", stats.sessions);
  page.one(MetricType::Counter, "qkms_peer_failed_attempts_total", "Failed attempts to connect.",
           stats.failed_attempts);
  page.one(MetricType::Counter, "qkms_peer_refused_total", "Inbound peer connections refused.", stats.refused);
  page.one(MetricType::Counter, "qkms_peer_undecodable_frames_total", "Frames that closed their session.",
           stats.undecodable_frames);
  page.one(MetricType::Counter, "qkms_peer_overflows_total", "Sessions closed because of a full queue.",
           stats.overflows);
  page.one(MetricType::Counter, "qkms_peer_frames_received_total", "Frames received.", stats.frames_received);
  page.one(MetricType::Counter, "qkms_peer_frames_sent_total", "Frames sent.", stats.frames_sent);
}

void write_expiries(const Observed& observed, Page& page) {
  page.family(MetricType::Gauge, "qkms_not_after_seconds",
              "When what a listener works with ends, in seconds since 1970: its own certificate chain, the CAs that it "
              "believes, their revocation lists.");
  const auto value = [&](const std::string& listener, const char* what, std::int64_t unix_s) {
    page.value({{"listener", listener}, {"what", what}}, static_cast<std::uint64_t>(std::max<std::int64_t>(0, unix_s)));
  };
  for (const auto& [listener, expiries] : observed.expiries) {
    value(listener, "certificate", expiries.certificate_unix_s);
    value(listener, "ca", expiries.ca_unix_s);
    if (expiries.crl_unix_s) value(listener, "crl", *expiries.crl_unix_s);
  }
}

void write_process(const Observed& observed, Page& page) {
  page.family(
      MetricType::Gauge, "qkms_secret_memory_bytes",
      "Memory with key bits: in use; and of the regions around it, locked, and NOT LOCKED so that it may be swapped.");
  page.value({{"state", "used"}}, observed.secret_memory.used_bytes);
  page.value({{"state", "locked"}}, observed.secret_memory.locked_bytes);
  page.value({{"state", "unlocked"}}, observed.secret_memory.unlocked_bytes);
  page.one(MetricType::Counter, "qkms_log_lines_lost_total", "Lines of the log that its reader did not take.",
           log_lines_lost());
  page.one(MetricType::Counter, "qkms_wall_clock_steps_total", "How often the wall clock was set while the daemon ran.",
           observed.clock_steps);
  page.one(MetricType::Gauge, "qkms_wall_clock_behind_seconds",
           "How far the wall clock is behind a time that it had reached; certificates are then judged by that time.",
           static_cast<std::uint64_t>(observed.clock_behind_s));
}

void write_syslog(const SyslogCounts& counts, Page& page) {
  page.family(MetricType::Counter, "qkms_audit_syslog_records_total",
              "Audit records, by whether the syslog has a copy.");
  page.value({{"outcome", "copied"}}, counts.copied);
  page.value({{"outcome", "skipped"}}, counts.skipped);
  page.one(MetricType::Gauge, "qkms_audit_syslog_waiting", "Audit records that are still to be copied.",
           counts.waiting);
}

void write_engine(const Observed& observed, Page& page) {
  page.family(MetricType::Gauge, "qkms_build_info", "Always 1; the version is the label.");
  page.value({{"version", std::string(kVersion)}}, 1);
  page.one(MetricType::Gauge, "qkms_store_open", "1 while the store can be trusted; 0: no key goes out.",
           observed.state == kms::Node::State::kOpen ? 1 : 0);
  page.one(MetricType::Gauge, "qkms_sealed", "1 while the master key is not in memory and an operator has to unseal.",
           observed.state == kms::Node::State::kSealed ? 1 : 0);
  page.one(MetricType::Counter, "qkms_unseals_refused_total",
           "Attempts to unseal that failed, a passphrase or PIN that was wrong for example.", observed.unseals_refused);
  page.one(MetricType::Gauge, "qkms_engine_queue_depth", "Events that wait for the engine.", observed.queue_depth);
  page.family(MetricType::Counter, "qkms_reloads_total", "Reloads of the configuration, by what became of them.");
  page.value({{"outcome", "applied"}}, observed.reloads);
  page.value({{"outcome", "refused"}}, observed.reloads_refused);
  page.one(MetricType::Gauge, "qkms_requests_in_flight", "Get key requests that wait for a peer.",
           observed.report.requests_in_flight);
}

}  // namespace

struct Metrics::Registry {
  prometheus::Registry registry;
  std::array<std::array<prometheus::Counter*, kStatusLabels>, kMethods> requests{};
  std::array<prometheus::Histogram*, kMethods> seconds{};
  std::array<prometheus::Counter*, kms::kNoticeKinds> notices{};
};

// All series exist from the start: so a request needs no look-up, and a rate is right from the first event on.
Metrics::Metrics() : registry_(std::make_unique<Registry>()) {
  auto& requests = prometheus::BuildCounter()
                       .Name("qkms_requests_total")
                       .Help("Requests of SAEs by method and HTTP status.")
                       .Register(registry_->registry);
  auto& seconds = prometheus::BuildHistogram()
                      .Name("qkms_request_seconds")
                      .Help("From the whole request to the whole answer, without the network.")
                      .Register(registry_->registry);
  const prometheus::Histogram::BucketBoundaries bounds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                          0.05,   0.1,   0.25,   0.5,   1,    2.5};
  for (std::size_t method = 0; method < kMethods; ++method) {
    registry_->seconds[method] = &seconds.Add({{"method", kMethodNames[method]}}, bounds);
    for (std::size_t i = 0; i < kStatusLabels; ++i) {
      const std::string status = i < kStatuses.size() ? std::to_string(kStatuses[i]) : "other";
      registry_->requests[method][i] = &requests.Add({{"method", kMethodNames[method]}, {"status", status}});
    }
  }
  auto& notices = prometheus::BuildCounter()
                      .Name("qkms_notices_total")
                      .Help("What the engine found worth a line in the log, by kind.")
                      .Register(registry_->registry);
  for (std::size_t i = 0; i < kms::kNoticeKinds; ++i) {
    const auto kind = static_cast<kms::NoticeKind>(i);
    registry_->notices[i] = &notices.Add({{"kind", std::string(kms::name_of(kind))}});
  }
}

Metrics::~Metrics() = default;

void Metrics::request_done(Method method, int status, std::chrono::steady_clock::duration took) {
  const auto index = static_cast<std::size_t>(method);
  registry_->requests[index][label_of(status)]->Increment();
  registry_->seconds[index]->Observe(std::chrono::duration<double>(took).count());
}

void Metrics::noticed(kms::NoticeKind kind) { registry_->notices[static_cast<std::size_t>(kind)]->Increment(); }

std::string Metrics::page(const Observed& observed) const {
  Page page;
  write_engine(observed, page);
  write_process(observed, page);
  write_reservoirs(observed.report, page);
  write_divergences(observed.report, page);
  write_saes(observed.report, page);
  write_expiries(observed, page);
  write_links(observed, page);
  write_listeners(observed, page);
  if (observed.syslog != nullptr) write_syslog(*observed.syslog, page);
  if (observed.peers != nullptr) write_peers(*observed.peers, page);
  std::vector<MetricFamily> families = registry_->registry.Collect();
  for (MetricFamily& family : page.take()) families.push_back(std::move(family));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace qkms::server
