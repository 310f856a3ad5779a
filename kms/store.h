// What the engine needs of a store: everything that must survive a crash goes through these calls, and through nothing
// else.
//
// Operation: load_all() once at start, then load(needs) and commit(changes) in turn.
// Concurrency: one caller, one thread. Implementations may block.
// Key bits are in SecretBytes here; sealing them on the way to a disk is the implementation's duty (storage/sealer.h).
#pragma once

#include <map>
#include <set>
#include <vector>

#include "api/audit_record.h"
#include "kms/types.h"

namespace qkms::kms {

struct SeenBlock {
  LinkId link;
  BlockId block;
};

// What the engine keeps in memory, as the store has it.
struct Snapshot {
  NodeRow node;
  std::vector<PeerRow> peers;
  std::vector<ExtentRow> extents;      // by peer, then id
  std::vector<BlockRow> blocks;        // in the order they came
  std::vector<OutboxRow> outbox;       // by peer, then sequence
  std::vector<SeenBlock> seen_blocks;  // by link, oldest first, at most kSeenBlocksPerLink per link
  std::uint64_t unreadable = 0;  // rows that failed their check and were left out; the store drops them when it likes
};

// How many block IDs per link are remembered after the block itself is gone, to notice repetitions. Stores may forget
// older ones.
inline constexpr std::size_t kSeenBlocksPerLink = 16384;

struct ExtentKey {
  KmeId peer;
  std::uint64_t id = 0;
  auto operator<=>(const ExtentKey&) const = default;
};

// What handling the next events will look at.
struct Needs {
  std::set<ExtentKey> extent_bits;
  std::set<AssignmentId> assignments;
  std::optional<Millis> expired_at;  // also load up to kExpiryBatch assignments whose expires_at is at or before this
  bool empty() const { return extent_bits.empty() && assignments.empty() && !expired_at; }
};
inline constexpr std::size_t kExpiryBatch = 256;

// What was there of it. A row that fails its check is left out, counted in `unreadable`, and stays in the store until
// it is replaced or the store drops it.
struct Loaded {
  std::map<ExtentKey, SecretBytes> extent_bits;
  std::map<AssignmentId, Assignment> assignments;  // those asked for and those found expired
  std::vector<AssignmentId> expired;               // which of `assignments` the expiry look-up found
  std::uint64_t unreadable = 0;
};

// One transaction. The vectors are applied in the order of the members; within one vector, in its own order.
struct Changes {
  bool burned = false;  // every extent, block and assignment that was stored before goes, readable or not
  std::optional<NodeRow> node;
  std::vector<PeerRow> put_peers;
  std::vector<std::pair<ExtentRow, SecretBytes>> new_extents;
  std::vector<ExtentRow> moved_extents;  // new owner or front; the bits stay. Fails if it is not there nor `burned`
  std::vector<ExtentKey> dropped_extents;
  std::vector<BlockRow> new_blocks;
  std::vector<std::pair<LinkId, BlockId>> dropped_blocks;
  std::vector<SeenBlock> seen_blocks;
  std::vector<Assignment> put_assignments;  // new, or in place of the one with the same id
  std::vector<AssignmentId> dropped_assignments;
  std::vector<OutboxRow> new_outbox;
  std::vector<std::pair<KmeId, std::uint64_t>> acknowledged_outbox;  // drop up to and including this sequence number
  std::vector<KmeId> cleared_outboxes;                               // drop all of it; applied before new_outbox
  std::vector<api::AuditRecord> audit;                               // numbered and kept in this order
  bool empty() const;
};

enum class CommitOutcome {
  kDurable,  // all of it is on the disk
  kFailed,   // none of it is, certainly: for example, the disk is full
  kUnknown,  // all or none of it; only a restart can tell. What the batch gave out must not leave the node
};

class Store {
 public:
  virtual ~Store() = default;
  virtual Result<Snapshot> load_all() = 0;
  virtual Result<Loaded> load(const Needs& needs) = 0;
  // Takes the changes over: key bits in them are wiped when it returns.
  virtual CommitOutcome commit(Changes changes) = 0;
};

}  // namespace qkms::kms
