// What one run counted. Every measured request ends in exactly one place: a status, or a failure. Nothing is dropped.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "bench/loadgen/histogram.h"
#include "bench/loadgen/options.h"

namespace qkms::bench {

// Why a request got no valid answer.
enum class Failure : std::uint8_t {
  kConnect,    // no TCP connection
  kHandshake,  // no TLS session
  kClosed,     // the connection ended before the answer did
  kMalformed,  // not an HTTP/1.1 answer with a length
  kWrongKeys,  // a 200 with another number of keys than was asked for
  kTimeout,
};
inline constexpr std::array<std::string_view, 6> kFailureNames{"connect",   "handshake",  "closed",
                                                               "malformed", "wrong_keys", "timeout"};

struct Tally {
  Histogram latency;  // of the 200s
  std::array<std::uint64_t, 600> by_status{};
  std::array<std::uint64_t, kFailureNames.size()> failures{};
  std::uint64_t connections_opened = 0;
  std::uint64_t warmup_requests = 0;
  std::uint64_t warmup_errors = 0;
  std::uint64_t unsent = 0;      // open loop: due before the end, but no connection was free
  std::uint64_t body_bytes = 0;  // of the 200s
  double cpu_seconds = 0;        // of the generator itself, from the end of the warm-up
  std::int64_t first_ns = 0;     // end of the warm-up
  std::int64_t last_ns = 0;      // the last outcome
  bool ran_out = false;          // the workload had nothing left to ask
  std::string tls;

  std::uint64_t ok() const { return by_status[200]; }
  std::uint64_t requests() const;
  void merge(const Tally& other);
};

// The run as one JSON object.
std::string to_json(const Options& options, const Tally& tally);

}  // namespace qkms::bench
