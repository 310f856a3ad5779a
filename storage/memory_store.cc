// See memory_store.h. Rows that go out are copies: the caller may move, change or wipe them.
#include "storage/memory_store.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace qkms::storage {

using kms::Assignment;
using kms::AssignmentId;
using kms::BlockRow;
using kms::Changes;
using kms::CommitOutcome;
using kms::ExtentKey;
using kms::Loaded;
using kms::NodeRow;
using kms::Snapshot;

namespace {

SecretBytes copy(const SecretBytes& bits) { return SecretBytes::copy_of(bits.reveal()); }

NodeRow copy(const NodeRow& row) {
  return {.self = row.self,
          .incarnation = row.incarnation,
          .id_key = copy(row.id_key),
          .record_limit = row.record_limit,
          .time = row.time};
}

BlockRow copy(const BlockRow& row) {
  return {.link = row.link, .block = row.block, .received_at = row.received_at, .bits = copy(row.bits)};
}

Assignment copy(const Assignment& row) {
  return {.issuer = row.issuer,
          .record = row.record,
          .master = row.master,
          .slaves = row.slaves,
          .key_count = row.key_count,
          .key_bytes = row.key_bytes,
          .expires_at = row.expires_at,
          .on_ledger = row.on_ledger,
          .fetched = row.fetched,
          .bits = copy(row.bits)};
}

ExtentKey key_of(const kms::ExtentRow& row) { return {row.peer, row.id}; }

std::unexpected<Error> latched_error() {
  return fail(ErrorCode::kClosed, "the outcome of a commit is unknown: the store stays closed until a restart");
}

}  // namespace

Result<Snapshot> MemoryStore::load_all() {
  if (latched_) return latched_error();
  Snapshot snapshot;
  snapshot.node = copy(node_);
  for (const auto& [peer, row] : peers_) snapshot.peers.push_back(row);
  for (const auto& [key, extent] : extents_) snapshot.extents.push_back(extent.row);
  for (const auto& [number, row] : blocks_) snapshot.blocks.push_back(copy(row));
  for (const auto& [peer, messages] : outbox_) {
    for (const auto& [sequence, message] : messages) snapshot.outbox.push_back({peer, sequence, message});
  }
  for (const auto& [link, blocks] : seen_blocks_) {
    for (const BlockId& block : blocks) snapshot.seen_blocks.push_back({link, block});
  }
  return snapshot;
}

Result<Loaded> MemoryStore::load(const kms::Needs& needs) {
  if (latched_) return latched_error();
  Loaded loaded;
  for (const ExtentKey& key : needs.extent_bits) {
    const auto found = extents_.find(key);
    if (found == extents_.end()) continue;
    if (spoilt_extents_.contains(key)) {
      ++loaded.unreadable;
    } else {
      loaded.extent_bits.emplace(key, copy(found->second.bits));
    }
  }
  for (const AssignmentId& id : needs.assignments) find_assignment(id, loaded);
  if (needs.expired_at) find_expired(*needs.expired_at, loaded);
  return loaded;
}

void MemoryStore::find_assignment(const AssignmentId& id, Loaded& loaded) const {
  const auto issuer = assignments_.find(id.issuer);
  if (issuer == assignments_.end()) return;
  const auto found = issuer->second.find(id.record);
  if (found == issuer->second.end()) return;
  if (spoilt_assignments_.contains(id)) {
    ++loaded.unreadable;
  } else {
    loaded.assignments.emplace(id, copy(found->second));
  }
}

// Looks at each issuer's lowest records, up to the first that has not expired (docs/store-format.md, "Expiry"). A
// spoilt row is counted once per opening: the look-up meets it again and again.
void MemoryStore::find_expired(Millis now, Loaded& loaded) {
  for (const auto& [issuer, records] : assignments_) {
    for (const auto& [record, row] : records) {
      if (row.expires_at > now) break;
      if (loaded.expired.size() == kms::kExpiryBatch) return;
      const AssignmentId id{issuer, record};
      if (spoilt_assignments_.contains(id)) {
        if (reported_.insert(id).second) ++loaded.unreadable;
        continue;
      }
      if (!loaded.assignments.contains(id)) loaded.assignments.emplace(id, copy(row));
      loaded.expired.push_back(id);
    }
  }
}

CommitOutcome MemoryStore::commit(Changes changes) {
  if (latched_ || conflicts(changes)) return CommitOutcome::kFailed;
  const CommitFate fate = hook_ ? hook_(changes) : CommitFate::kDurable;
  if (fate == CommitFate::kDurable || fate == CommitFate::kUnknownApplied) apply(changes);
  latched_ = fate == CommitFate::kUnknownApplied || fate == CommitFate::kUnknownLost;
  if (latched_) return CommitOutcome::kUnknown;
  return fate == CommitFate::kDurable ? CommitOutcome::kDurable : CommitOutcome::kFailed;
}

// True when something "new" is there already: a mistake of the engine's, and one that could bring used bits back. In
// SQLite the primary keys say it.
bool MemoryStore::conflicts(const Changes& changes) const {
  std::set<ExtentKey> extents;
  for (const auto& [row, bits] : changes.new_extents) {
    if (extents_.contains(key_of(row)) || !extents.insert(key_of(row)).second) return true;
  }
  std::set<BlockKey> blocks;
  for (const BlockRow& row : changes.new_blocks) {
    const BlockKey key{row.link, row.block};
    if (block_numbers_.contains(key) || !blocks.insert(key).second) return true;
  }
  const std::set<KmeId> cleared(changes.cleared_outboxes.begin(), changes.cleared_outboxes.end());
  std::set<std::pair<KmeId, std::uint64_t>> messages;
  for (const kms::OutboxRow& row : changes.new_outbox) {
    if (!messages.emplace(row.peer, row.sequence).second) return true;
    const auto peer = outbox_.find(row.peer);
    if (peer != outbox_.end() && !cleared.contains(row.peer) && peer->second.contains(row.sequence)) return true;
  }
  return false;
}

void MemoryStore::apply(Changes& changes) {
  if (changes.node) node_ = std::move(*changes.node);
  for (kms::PeerRow& row : changes.put_peers) peers_.insert_or_assign(row.peer, row);
  apply_extents(changes);
  apply_blocks(changes);
  apply_assignments(changes);
  apply_outbox(changes);
  std::ranges::move(changes.audit, std::back_inserter(audit_log_));
}

void MemoryStore::apply_extents(Changes& changes) {
  for (auto& [row, bits] : changes.new_extents) extents_.emplace(key_of(row), Extent{row, std::move(bits)});
  for (const kms::ExtentRow& row : changes.moved_extents) {
    const auto found = extents_.find(key_of(row));
    if (found != extents_.end()) found->second.row = row;
  }
  for (const ExtentKey& key : changes.dropped_extents) {
    extents_.erase(key);
    spoilt_extents_.erase(key);
  }
}

void MemoryStore::apply_blocks(Changes& changes) {
  for (BlockRow& row : changes.new_blocks) {
    block_numbers_.emplace(BlockKey{row.link, row.block}, next_block_number_);
    blocks_.emplace(next_block_number_++, std::move(row));
  }
  for (const BlockKey& key : changes.dropped_blocks) {
    const auto found = block_numbers_.find(key);
    if (found == block_numbers_.end()) continue;
    blocks_.erase(found->second);
    block_numbers_.erase(found);
  }
  for (const kms::SeenBlock& seen : changes.seen_blocks) {
    std::deque<BlockId>& ring = seen_blocks_[seen.link];
    ring.push_back(seen.block);
    if (ring.size() > kms::kSeenBlocksPerLink) ring.pop_front();
  }
}

void MemoryStore::apply_assignments(Changes& changes) {
  for (Assignment& row : changes.put_assignments) {
    spoilt_assignments_.erase({row.issuer, row.record});
    const std::uint64_t record = row.record;
    std::map<std::uint64_t, Assignment>& records = assignments_[row.issuer];
    records.insert_or_assign(record, std::move(row));
  }
  for (const AssignmentId& id : changes.dropped_assignments) {
    const auto issuer = assignments_.find(id.issuer);
    if (issuer != assignments_.end()) issuer->second.erase(id.record);
    spoilt_assignments_.erase(id);
  }
}

void MemoryStore::apply_outbox(Changes& changes) {
  for (const KmeId& peer : changes.cleared_outboxes) outbox_.erase(peer);
  for (kms::OutboxRow& row : changes.new_outbox) outbox_[row.peer].emplace(row.sequence, std::move(row.message));
  for (const auto& [peer, sequence] : changes.acknowledged_outbox) {
    const auto found = outbox_.find(peer);
    if (found != outbox_.end()) found->second.erase(found->second.begin(), found->second.upper_bound(sequence));
  }
}

}  // namespace qkms::storage
