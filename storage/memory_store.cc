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
          .time = row.time,
          .mark_key = copy(row.mark_key),
          .ordinal = row.ordinal,
          .life = row.life,
          .progress = row.progress,
          .restored = row.restored};
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
  snapshot.node = copy(disk_.node);
  for (const auto& [peer, row] : disk_.peers) snapshot.peers.push_back(row);
  for (const auto& [key, extent] : disk_.extents) snapshot.extents.push_back(extent.row);
  for (const auto& [number, row] : disk_.blocks) snapshot.blocks.push_back(copy(row));
  for (const auto& [peer, messages] : disk_.outbox) {
    for (const auto& [sequence, message] : messages) snapshot.outbox.push_back({peer, sequence, message});
  }
  for (const auto& [link, blocks] : disk_.seen_blocks) {
    for (const BlockId& block : blocks) snapshot.seen_blocks.push_back({link, block});
  }
  return snapshot;
}

Result<Loaded> MemoryStore::load(const kms::Needs& needs) {
  if (latched_) return latched_error();
  Loaded loaded;
  for (const ExtentKey& key : needs.extent_bits) {
    const auto found = disk_.extents.find(key);
    if (found == disk_.extents.end()) continue;
    if (disk_.spoilt_extents.contains(key)) {
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
  const auto issuer = disk_.assignments.find(id.issuer);
  if (issuer == disk_.assignments.end()) return;
  const auto found = issuer->second.find(id.record);
  if (found == issuer->second.end()) return;
  if (disk_.spoilt_assignments.contains(id)) {
    ++loaded.unreadable;
  } else {
    loaded.assignments.emplace(id, copy(found->second));
  }
}

// Looks at each issuer's lowest records, up to the first that has not expired (docs/store-format.md, "Expiry"). A
// spoilt row is counted once per opening: the look-up meets it again and again.
void MemoryStore::find_expired(Millis now, Loaded& loaded) {
  for (const auto& [issuer, records] : disk_.assignments) {
    for (const auto& [record, row] : records) {
      if (row.expires_at > now) break;
      if (loaded.expired.size() == kms::kExpiryBatch) return;
      const AssignmentId id{issuer, record};
      if (disk_.spoilt_assignments.contains(id)) {
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

// True when something "new" is there already, or something that moves is not: a mistake of the engine's, and one that
// could bring used bits back. In SQLite the primary keys say it.
bool MemoryStore::conflicts(const Changes& changes) const {
  std::set<ExtentKey> extents;
  for (const auto& [row, bits] : changes.new_extents) {
    if ((!changes.burned && disk_.extents.contains(key_of(row))) || !extents.insert(key_of(row)).second) return true;
  }
  for (const kms::ExtentRow& row : changes.moved_extents) {
    if (!changes.burned && !disk_.extents.contains(key_of(row)) && !extents.contains(key_of(row))) return true;
  }
  std::set<BlockKey> blocks;
  for (const BlockRow& row : changes.new_blocks) {
    const BlockKey key{row.link, row.block};
    if ((!changes.burned && disk_.block_numbers.contains(key)) || !blocks.insert(key).second) return true;
  }
  const std::set<KmeId> cleared(changes.cleared_outboxes.begin(), changes.cleared_outboxes.end());
  std::set<std::pair<KmeId, std::uint64_t>> messages;
  for (const kms::OutboxRow& row : changes.new_outbox) {
    if (!messages.emplace(row.peer, row.sequence).second) return true;
    const auto peer = disk_.outbox.find(row.peer);
    if (peer != disk_.outbox.end() && !cleared.contains(row.peer) && peer->second.contains(row.sequence)) return true;
  }
  return false;
}

void MemoryStore::apply(Changes& changes) {
  if (changes.burned) burn();
  if (changes.node) disk_.node = std::move(*changes.node);
  for (kms::PeerRow& row : changes.put_peers) disk_.peers.insert_or_assign(row.peer, row);
  apply_extents(changes);
  apply_blocks(changes);
  apply_assignments(changes);
  apply_outbox(changes);
  std::ranges::move(changes.audit, std::back_inserter(disk_.audit_log));
}

void MemoryStore::burn() {
  disk_.extents.clear();
  disk_.blocks.clear();
  disk_.block_numbers.clear();
  disk_.assignments.clear();
  disk_.spoilt_extents.clear();
  disk_.spoilt_assignments.clear();
}

void MemoryStore::apply_extents(Changes& changes) {
  for (auto& [row, bits] : changes.new_extents) disk_.extents.emplace(key_of(row), Extent{row, std::move(bits)});
  for (const kms::ExtentRow& row : changes.moved_extents) {
    const auto found = disk_.extents.find(key_of(row));
    if (found != disk_.extents.end()) found->second.row = row;
  }
  for (const ExtentKey& key : changes.dropped_extents) {
    disk_.extents.erase(key);
    disk_.spoilt_extents.erase(key);
  }
}

void MemoryStore::apply_blocks(Changes& changes) {
  for (BlockRow& row : changes.new_blocks) {
    disk_.block_numbers.emplace(BlockKey{row.link, row.block}, disk_.next_block_number);
    disk_.blocks.emplace(disk_.next_block_number++, std::move(row));
  }
  for (const BlockKey& key : changes.dropped_blocks) {
    const auto found = disk_.block_numbers.find(key);
    if (found == disk_.block_numbers.end()) continue;
    disk_.blocks.erase(found->second);
    disk_.block_numbers.erase(found);
  }
  for (const kms::SeenBlock& seen : changes.seen_blocks) {
    std::deque<BlockId>& ring = disk_.seen_blocks[seen.link];
    ring.push_back(seen.block);
    if (ring.size() > kms::kSeenBlocksPerLink) ring.pop_front();
  }
}

void MemoryStore::apply_assignments(Changes& changes) {
  for (Assignment& row : changes.put_assignments) {
    disk_.spoilt_assignments.erase({row.issuer, row.record});
    const std::uint64_t record = row.record;
    std::map<std::uint64_t, Assignment>& records = disk_.assignments[row.issuer];
    records.insert_or_assign(record, std::move(row));
  }
  for (const AssignmentId& id : changes.dropped_assignments) {
    const auto issuer = disk_.assignments.find(id.issuer);
    if (issuer != disk_.assignments.end()) issuer->second.erase(id.record);
    disk_.spoilt_assignments.erase(id);
  }
}

void MemoryStore::apply_outbox(Changes& changes) {
  for (const KmeId& peer : changes.cleared_outboxes) disk_.outbox.erase(peer);
  for (kms::OutboxRow& row : changes.new_outbox) disk_.outbox[row.peer].emplace(row.sequence, std::move(row.message));
  for (const auto& [peer, sequence] : changes.acknowledged_outbox) {
    const auto found = disk_.outbox.find(peer);
    if (found != disk_.outbox.end()) found->second.erase(found->second.begin(), found->second.upper_bound(sequence));
  }
}

// --- copies of the disk
// ------------------------------------------------------------------------------------------------------

MemoryStore::Disk MemoryStore::copy_of(const Disk& disk) {
  Disk result;
  result.node = copy(disk.node);
  result.peers = disk.peers;
  for (const auto& [key, extent] : disk.extents) result.extents.emplace(key, Extent{extent.row, copy(extent.bits)});
  for (const auto& [number, row] : disk.blocks) result.blocks.emplace(number, copy(row));
  result.block_numbers = disk.block_numbers;
  result.next_block_number = disk.next_block_number;
  result.seen_blocks = disk.seen_blocks;
  for (const auto& [issuer, records] : disk.assignments) {
    for (const auto& [record, row] : records) result.assignments[issuer].emplace(record, copy(row));
  }
  result.outbox = disk.outbox;
  result.audit_log = disk.audit_log;
  result.spoilt_extents = disk.spoilt_extents;
  result.spoilt_assignments = disk.spoilt_assignments;
  return result;
}

void MemoryStore::put_back(Declared declared) {
  disk_ = copy_of(*copy_);
  disk_.node.restored = declared == Declared::kYes;
}

}  // namespace qkms::storage
