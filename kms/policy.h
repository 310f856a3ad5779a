// Who is who and who may do what, with the limits: what the operator configured, as the engine reads it. Immutable once
// built.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "base/id.h"
#include "base/time.h"

namespace qkms::kms {

// Defaults: shared decision 21 on ETSI GS QKD 014. A value's range is checked where configuration is read.
struct KeyLimits {
  std::uint32_t default_key_bits = 256;
  std::uint32_t min_key_bits = 64;
  std::uint32_t max_key_bits = 4096;
  std::uint32_t max_keys_per_request = 128;
  std::uint32_t max_key_count = 100000;     // Status reports no more than this
  std::uint32_t max_additional_slaves = 8;  // at most kMaxSlavesPerKme - 1
  Millis key_life_ms = 24 * 3600 * 1000;
};

// Assignment::fetched has a bit for each.
inline constexpr std::size_t kMaxSlavesPerKme = 16;

struct PeerPolicy {
  std::uint64_t reservoir_capacity_bytes = 8
                                           << 20;  // blocks are refused while this is available, if both ends have some
};

struct LinkPolicy {
  KmeId peer;
  Millis block_wait_ms = 600'000;             // how long one end's block waits for the other end's
  std::uint64_t max_pending_bytes = 8 << 20;  // blocks that wait; more are refused
};

struct Timing {
  Millis request_deadline_ms = 800;  // Get key answers 503 when a peer has not confirmed by then
  Millis heartbeat_ms = 1000;        // a frame at least this often
  Millis silence_ms = 5000;          // a session without any frame for this long is closed
  Millis compare_ms = 10'000;        // accounts are compared with a peer's this often at most, beside once a session
  Millis reconcile_ms = 10'000;      // after a start, stored keys wait so long for what all peers have to say
};

struct Capacity {
  std::size_t max_requests_in_flight = 4096;  // Get key requests that wait for a peer
  std::size_t max_outbox = 16384;  // messages per peer that it has not acknowledged; above, Get key answers 503
  std::size_t cached_extent_bytes = 16 << 20;  // bits of extents kept unsealed in memory, over all reservoirs
};

// What an SAE, or a pair of master and slave, may use up. 0: no limit. The first three are averages: a bucket holds
// what comes in in kBurstMs, and a request is served while the bucket is not in debt, however much it asks for.
struct Allowance {
  std::uint64_t requests_per_s = 0;
  std::uint64_t keys_per_s = 0;  // as a master
  std::uint64_t bits_per_s = 0;  // likewise
  std::uint64_t keys_per_day = 0;
  std::uint64_t bits_per_day = 0;
  bool operator==(const Allowance&) const = default;
};
inline constexpr Millis kBurstMs = 10'000;

// Beside being allowed at all.
struct PairTerms {
  Allowance allowance;
  std::uint64_t reserve_bytes = 0;  // of the reservoir towards the slave's KME, kept from all other pairs
};

// What an SAE hears that asks for a key which is another SAE's. ETSI GS QKD 014 V1.1.1 says 401, which tells it that
// the key exists.
enum class ForeignKey { kUnauthorised, kNotFound };

struct Policy {
  KmeId self;
  std::map<KmeId, PeerPolicy> peers;
  std::map<LinkId, LinkPolicy> links;
  std::map<SaeId, KmeId> homes;                             // which KME serves an SAE; also our own
  std::set<std::pair<SaeId, SaeId>> allowed;                // (master, slave); absent means denied
  std::map<SaeId, Allowance> allowances;                    // of SAEs that we serve; absent: none
  std::map<std::pair<SaeId, SaeId>, PairTerms> pair_terms;  // (master, slave); absent: none
  ForeignKey foreign_key = ForeignKey::kUnauthorised;
  KeyLimits keys;
  Timing timing;
  Capacity capacity;

  // The KME that serves this SAE, or null.
  const KmeId* home_of(const SaeId& sae) const {
    const auto found = homes.find(sae);
    return found == homes.end() ? nullptr : &found->second;
  }
  bool allows(const SaeId& master, const SaeId& slave) const { return allowed.contains({master, slave}); }
  // The lower KME ID leads a link (design: "The link's leader").
  bool leads(const KmeId& peer) const { return self < peer; }
};

}  // namespace qkms::kms
