// The store in memory, for tests of the engine and for the simulator: what a commit made durable survives crash(), and
// faults happen when a hook says so. It holds key bits unsealed; qkmsd never uses it.
//
// What would surprise: there is nothing between "durable" and "gone". A commit that is torn off half-way by a power cut
// is, as with SQLite, either there or not; the hook chooses by answering kUnknownApplied or kUnknownLost.
//
// Operation: as kms::Store. After an unknown commit every call fails until crash(), which stands for a new process on
// the same disk. Concurrency: as kms::Store.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "kms/store.h"

namespace qkms::storage {

// What becomes of one commit.
enum class CommitFate {
  kDurable,         // the commit answers kDurable
  kFailed,          // nothing is applied; the commit answers kFailed
  kUnknownApplied,  // the commit answers kUnknown, and a restart will find it applied
  kUnknownLost,     // the commit answers kUnknown, and a restart will find nothing of it
};

class MemoryStore final : public kms::Store {
 public:
  // Asked once for each commit that is free of conflicts. Must be deterministic if the run is to be.
  using FateHook = std::function<CommitFate(const kms::Changes&)>;

  MemoryStore() = default;
  explicit MemoryStore(FateHook hook) : hook_(std::move(hook)) {}

  Result<kms::Snapshot> load_all() override;
  Result<kms::Loaded> load(const kms::Needs& needs) override;
  kms::CommitOutcome commit(kms::Changes changes) override;

  void set_fate_hook(FateHook hook) { hook_ = std::move(hook); }

  // The process ends and another one opens the same disk: whatever was durable is there, and the latch of an unknown
  // commit is gone.
  void crash() {
    latched_ = false;
    reported_.clear();
  }

  // What was committed for the audit log, in order.
  const std::vector<api::AuditRecord>& audit_log() const { return disk_.audit_log; }
  // As an operator would: a copy of the disk, and the disk put back to what it was then, marked as restored or not. The
  // copy stays. Only while no process has the store open: that is, before crash().
  enum class Declared { kNo, kYes };
  void take_copy() { copy_ = copy_of(disk_); }
  bool has_copy() const { return copy_.has_value(); }
  void put_back(Declared declared);
  // What is durable, and what was when the copy was made.
  const kms::NodeRow& node() const { return disk_.node; }
  const kms::NodeRow& copied_node() const { return copy_->node; }
  const std::map<KmeId, kms::PeerRow>& peers() const { return disk_.peers; }

  // From now on the row fails its check, as a damaged one on a disk does, until it is dropped or put anew.
  void spoil(const kms::ExtentKey& extent) { disk_.spoilt_extents.insert(extent); }
  void spoil(const kms::AssignmentId& assignment) { disk_.spoilt_assignments.insert(assignment); }

 private:
  using BlockKey = std::pair<LinkId, BlockId>;
  struct Extent {
    kms::ExtentRow row;
    SecretBytes bits;
  };

  // All that is durable.
  struct Disk {
    kms::NodeRow node;
    std::map<KmeId, kms::PeerRow> peers;
    std::map<kms::ExtentKey, Extent> extents;
    std::map<std::uint64_t, kms::BlockRow> blocks;  // by the order they came
    std::map<BlockKey, std::uint64_t> block_numbers;
    std::uint64_t next_block_number = 0;
    std::map<LinkId, std::deque<BlockId>> seen_blocks;
    std::map<KmeId, std::map<std::uint64_t, kms::Assignment>> assignments;  // by issuer, then record
    std::map<KmeId, std::map<std::uint64_t, api::Message>> outbox;          // by peer, then sequence
    std::vector<api::AuditRecord> audit_log;
    std::set<kms::ExtentKey> spoilt_extents;
    std::set<kms::AssignmentId> spoilt_assignments;
  };

  static Disk copy_of(const Disk& disk);
  bool conflicts(const kms::Changes& changes) const;
  void apply(kms::Changes& changes);
  void burn();
  void apply_extents(kms::Changes& changes);
  void apply_blocks(kms::Changes& changes);
  void apply_assignments(kms::Changes& changes);
  void apply_outbox(kms::Changes& changes);
  void find_assignment(const kms::AssignmentId& id, kms::Loaded& loaded) const;
  void find_expired(Millis now, kms::Loaded& loaded);

  FateHook hook_;
  bool latched_ = false;

  Disk disk_;
  std::optional<Disk> copy_;
  std::set<kms::AssignmentId> reported_;  // spoilt ones that the expiry look-up has counted already
};

}  // namespace qkms::storage
