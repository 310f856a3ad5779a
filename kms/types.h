// Values that the engine, its store and its callers share: what is asked, what is answered, what is kept.
// Sizes of keys are bytes inside the engine; ETSI GS QKD 014 speaks bits at the door, and server/ converts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/peer/message.h"
#include "base/error.h"
#include "base/id.h"
#include "base/secret.h"
#include "base/time.h"

namespace qkms::kms {

using api::Range;

enum class Owner : std::uint8_t { kSelf = 0, kPeer = 1 };

// What taken bits are for. Each value has a column of its own in the Ledger.
enum class Purpose : std::uint8_t { kDelivery, kPad, kBurn };

// Where the bits of one reservoir went, in bits (invariant 6). At each end, always:
//   in = macs + available + in_flight + held + delivered + pads + burned + expired + quarantined
// `in`, `macs`, `quarantined` and `available` are equal at both ends once quiet. `available` is not stored: the extents
// know it.
struct Ledger {
  std::uint64_t in = 0;           // in blocks that both ends compared, equal or not
  std::uint64_t macs = 0;         // spent as one-time MAC keys
  std::uint64_t quarantined = 0;  // in blocks whose two halves differ
  std::uint64_t in_flight = 0;    // taken here for keys that the peer has not confirmed yet
  std::uint64_t held = 0;         // assigned by the peer to SAEs of ours, not fetched yet
  std::uint64_t delivered = 0;
  std::uint64_t pads = 0;
  std::uint64_t burned = 0;
  std::uint64_t expired = 0;
  bool operator==(const Ledger&) const = default;
};

// --- rows of the store
// -------------------------------------------------------------------------------------------------------------

// One per store. What a life is, and what the last five are for: kms/life.h.
struct NodeRow {
  KmeId self;                      // empty: a new store
  std::uint64_t incarnation = 0;   // drawn when the store is made
  SecretBytes id_key;              // 32 bytes: decodes the key IDs that this KME issues
  std::uint64_t record_limit = 0;  // record numbers below this may have been used
  Millis time = 0;                 // engine time at some commit not long ago
  SecretBytes mark_key;            // 32 bytes, told to nobody: proves our marks. Empty: of a time before marks
  std::uint64_t ordinal = 0;       // of the present life; 0: there was none yet
  std::uint64_t life = 0;          // drawn when it began
  std::uint64_t progress = 0;      // how often something was given out in it
  bool restored = false;           // an operator put the store back: nothing that it holds may be used
};

// The last life in which we told a peer of ourselves, and how far it came. Of the present life, NodeRow says how far.
struct Told {
  std::uint64_t ordinal = 0;
  std::uint64_t life = 0;
  std::uint64_t progress = 0;
  bool operator==(const Told&) const = default;
};

// One per peer KME: the channel's and the reservoir's counters. See api::Hello for the first six.
struct PeerRow {
  KmeId peer;
  std::uint64_t pair_epoch = 0;
  std::uint64_t peer_incarnation = 0;
  std::uint64_t sent = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t received = 0;
  std::array<std::uint8_t, 32> peer_id_key{};
  std::uint64_t next_extent = 0;
  std::uint64_t last_record = 0;  // of the peer's Assigns in this pair epoch; they only grow
  Ledger ledger;
  Told told;
  api::Mark heard;  // the peer's last mark, as it came
  bool operator==(const PeerRow&) const = default;
};

// An extent's place and state. Its bits are a row of their own, written once and dropped with it.
struct ExtentRow {
  KmeId peer;
  std::uint64_t id = 0;
  Owner owner = Owner::kSelf;
  std::uint32_t size = 0;   // bytes
  std::uint32_t front = 0;  // bytes already taken
  bool operator==(const ExtentRow&) const = default;
};

// A block from a device that the other end has not confirmed yet.
struct BlockRow {
  LinkId link;
  BlockId block;
  Millis received_at = 0;
  SecretBytes bits;
};

// Keys that SAEs of this KME may fetch. One row per request of the master, whatever the number of keys.
struct Assignment {
  KmeId issuer;
  std::uint64_t record = 0;
  SaeId master;
  std::vector<SaeId> slaves;  // those that this KME serves, in the order of the request
  std::uint32_t key_count = 0;
  std::uint32_t key_bytes = 0;
  Millis expires_at = 0;
  bool on_ledger = false;  // its bits came from ranges of the issuer's reservoir with us, so they count as `held` there
  std::vector<std::uint16_t> fetched;  // per key: bit s is set when slaves[s] has it
  SecretBytes bits;                    // key_count * key_bytes; a key that all its slaves have is zeroed
};

struct AssignmentId {
  KmeId issuer;
  std::uint64_t record = 0;
  auto operator<=>(const AssignmentId&) const = default;
};

struct OutboxRow {
  KmeId peer;
  std::uint64_t sequence = 0;
  api::Message message;
};

// --- requests of SAEs
// --------------------------------------------------------------------------------------------------------------

// Names the request towards whoever has to be answered; the engine only hands it back.
using RequestToken = std::uint64_t;

struct StatusRequest {
  SaeId caller, slave;
};

// How a key's bits come from one KME to the other: over a link that the two share, or over KMEs in between.
enum class RouteType { kAny, kDirect, kIndirect };

// What a request's extensions ask of its keys.
struct Conditions {
  RouteType route_type = RouteType::kAny;
  std::optional<Millis> max_age_ms;  // since both ends had the bits. Bits from before our start are older than any age
};

struct KeyRequest {
  SaeId caller, slave;
  std::vector<SaeId> additional_slaves;
  std::optional<std::uint64_t> number;  // of both, none: the default; more than any limit: given, but no number
  std::optional<std::uint64_t> size_bits;
  Conditions must = {};    // else kExtensionUnmet
  Conditions prefer = {};  // where it can be had
};

struct KeyIdsRequest {
  SaeId caller, master;
  std::vector<KeyId> key_ids;
};

using SaeRequest = std::variant<StatusRequest, KeyRequest, KeyIdsRequest>;

// ETSI GS QKD 014 V1.1.1 §6.1, in its units: bits, and counts of keys.
struct StatusReply {
  KmeId source_kme, target_kme;
  SaeId master, slave;
  std::uint32_t key_size_bits, stored_key_count, max_key_count, max_key_per_request, max_key_size_bits,
      min_key_size_bits, max_additional_slaves;
};

// Keys in the order asked for. Key i is the run of `sizes[i]` bytes of `bits` that follows those before it.
struct KeysReply {
  std::vector<KeyId> ids;
  std::vector<std::uint32_t> sizes;
  SecretBytes bits;
};

using SaeReply = std::variant<StatusReply, KeysReply, Error>;

}  // namespace qkms::kms
