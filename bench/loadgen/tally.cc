// The surprise: requests_per_second counts the 200s only, so that a server cannot look fast by refusing.
#include "bench/loadgen/tally.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <numeric>

namespace qkms::bench {
namespace {

std::string statuses_json(const Tally& tally) {
  std::string json;
  for (std::size_t status = 0; status < tally.by_status.size(); ++status) {
    const std::uint64_t count = tally.by_status[status];
    if (count > 0) fmt::format_to(std::back_inserter(json), "{}\"{}\":{}", json.empty() ? "" : ",", status, count);
  }
  return "{" + json + "}";
}

std::string failures_json(const Tally& tally) {
  std::string json;
  for (std::size_t i = 0; i < kFailureNames.size(); ++i) {
    if (tally.failures[i] == 0) continue;
    fmt::format_to(std::back_inserter(json), "{}\"{}\":{}", json.empty() ? "" : ",", kFailureNames[i],
                   tally.failures[i]);
  }
  return "{" + json + "}";
}

std::string latency_json(const Histogram& latency) {
  const auto us = [&](double fraction) { return static_cast<double>(latency.percentile_ns(fraction)) / 1e3; };
  return fmt::format(R"({{"mean":{:.1f},"p50":{:.1f},"p90":{:.1f},"p99":{:.1f},"p999":{:.1f},"max":{:.1f}}})",
                     latency.mean_ns() / 1e3, us(0.5), us(0.9), us(0.99), us(0.999),
                     static_cast<double>(latency.max_ns()) / 1e3);
}

}  // namespace

std::uint64_t Tally::requests() const {
  const auto sum = [](const auto& counts) { return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}); };
  return sum(by_status) + sum(failures);
}

void Tally::merge(const Tally& other) {
  latency.merge(other.latency);
  std::ranges::transform(by_status, other.by_status, by_status.begin(), std::plus());
  std::ranges::transform(failures, other.failures, failures.begin(), std::plus());
  connections_opened += other.connections_opened;
  warmup_requests += other.warmup_requests;
  warmup_errors += other.warmup_errors;
  unsent += other.unsent;
  body_bytes += other.body_bytes;
  cpu_seconds += other.cpu_seconds;
  first_ns = first_ns == 0 ? other.first_ns : std::min(first_ns, other.first_ns);
  last_ns = std::max(last_ns, other.last_ns);
  ran_out = ran_out || other.ran_out;
  if (tls.empty()) tls = other.tls;
}

std::string to_json(const Options& options, const Tally& tally) {
  const double seconds = static_cast<double>(std::max<std::int64_t>(tally.last_ns - tally.first_ns, 1)) / 1e9;
  const double per_request = tally.requests() == 0 ? 0 : tally.cpu_seconds / static_cast<double>(tally.requests());
  std::string json = fmt::format(R"({{"connections":{},"threads":{},"requests":{},"ok":{},"seconds":{:.4f},)",
                                 options.connections, options.threads, tally.requests(), tally.ok(), seconds);
  json += fmt::format(R"("requests_per_second":{:.1f},"latency_us":{},)", static_cast<double>(tally.ok()) / seconds,
                      latency_json(tally.latency));
  json += fmt::format(R"("statuses":{},"failures":{},)", statuses_json(tally), failures_json(tally));
  json += fmt::format(R"("warmup_requests":{},"warmup_errors":{},"unsent":{},"ran_out":{},)", tally.warmup_requests,
                      tally.warmup_errors, tally.unsent, tally.ran_out);
  json += fmt::format(R"("connections_opened":{},"body_bytes":{},"tls":"{}",)", tally.connections_opened,
                      tally.body_bytes, tally.tls);
  json += fmt::format(R"("generator_cpu_seconds":{:.4f},"generator_cpu_us_per_request":{:.2f}}})", tally.cpu_seconds,
                      per_request * 1e6);
  return json;
}

}  // namespace qkms::bench
