// The faults of the store in memory; and the two stores against each other.
#include "storage/memory_store.h"

#include <gtest/gtest.h>

#include <random>

#include "storage/store_bench.h"

namespace qkms::storage {
namespace {

using kms::Changes;
using kms::CommitOutcome;
using kms::Needs;

// --- the faults of the store in memory
// ---------------------------------------------------------------------------------------------

TEST(MemoryStore, DoesWhatTheHookDecides) {
  struct Case {
    const char* name;
    CommitFate fate;
    CommitOutcome outcome;
    bool applied, latched;
  };
  const Case cases[] = {
      {"durable", CommitFate::kDurable, CommitOutcome::kDurable, true, false},
      {"failed", CommitFate::kFailed, CommitOutcome::kFailed, false, false},
      {"unknown, applied", CommitFate::kUnknownApplied, CommitOutcome::kUnknown, true, true},
      {"unknown, lost", CommitFate::kUnknownLost, CommitOutcome::kUnknown, false, true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    MemoryStore store([&c](const Changes&) { return c.fate; });
    Changes changes;
    changes.node = sample_node();
    EXPECT_EQ(store.commit(std::move(changes)), c.outcome);
    EXPECT_EQ(store.load_all().has_value(), !c.latched);
    EXPECT_EQ(store.load({}).has_value(), !c.latched);
    store.set_fate_hook({});
    EXPECT_EQ(store.commit({}), c.latched ? CommitOutcome::kFailed : CommitOutcome::kDurable);
    store.crash();
    EXPECT_EQ(!store.load_all()->node.self.empty(), c.applied);
  }
}

TEST(MemoryStore, CanBePutBackToACopyAgainAndAgain) {
  MemoryStore store;
  const auto put = [&store](std::uint64_t record) {
    Changes changes;
    changes.node = sample_node();
    changes.node->restored = false;
    changes.put_assignments.push_back(sample_assignment("KME-B", record));
    ASSERT_EQ(store.commit(std::move(changes)), CommitOutcome::kDurable);
  };
  const auto has = [&store](std::uint64_t record) {
    return !store.load({.extent_bits = {}, .assignments = {{kme("KME-B"), record}}, .expired_at = {}})
                ->assignments.empty();
  };
  put(1);
  store.take_copy();
  for (const auto declared : {MemoryStore::Declared::kNo, MemoryStore::Declared::kYes}) {
    put(2);
    EXPECT_TRUE(has(2));
    store.put_back(declared);
    EXPECT_TRUE(has(1));
    EXPECT_FALSE(has(2));
    EXPECT_EQ(store.load_all()->node.restored, declared == MemoryStore::Declared::kYes);
  }
}

// --- the two against each other
// ----------------------------------------------------------------------------------------------------

class History {
 public:
  explicit History(std::uint64_t seed) : random_(seed) {}

  Changes next_commit() {
    Changes changes;
    for (std::uint32_t steps = pick(6); steps > 0; --steps) add_step(changes);
    return changes;
  }
  Needs next_needs() {
    Needs needs;
    for (int i = 0; i < 4; ++i) {
      needs.extent_bits.insert({pick_kme(), pick(8)});
      needs.assignments.insert({pick_kme(), pick(8)});
    }
    if (pick(2) == 0) needs.expired_at = pick(100);
    return needs;
  }
  bool restarts() { return pick(20) == 0; }

 private:
  std::uint32_t pick(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
  std::string pick_name() { return std::string("KME-") + static_cast<char>('E' - pick(4)); }
  KmeId pick_kme() { return kme(pick_name()); }
  kms::ExtentRow pick_extent() {
    kms::ExtentRow row = sample_extent(pick_name(), pick(8), pick(64));
    row.owner = pick(2) == 0 ? kms::Owner::kSelf : kms::Owner::kPeer;
    return row;
  }

  void add_step(Changes& changes) {
    switch (pick(13)) {
      case 0:
        changes.node = sample_node();
        changes.node->time = pick(1000);
        break;
      case 1:
        changes.put_peers.push_back(sample_peer(pick_name(), pick(1000)));
        break;
      case 2:
        changes.new_extents.emplace_back(pick_extent(), bits(64, static_cast<std::uint8_t>(pick(256))));
        break;
      case 3:
        changes.moved_extents.push_back(pick_extent());
        break;
      case 4:
        changes.dropped_extents.push_back({pick_kme(), pick(8)});
        break;
      case 5:
        changes.new_blocks.push_back(sample_block(pick_name(), pick(8)));
        break;
      case 6:
        changes.dropped_blocks.emplace_back(link(pick_name()), block(pick(8)));
        break;
      case 7:
        changes.seen_blocks.push_back({link(pick_name()), block(pick(1000))});
        break;
      case 8:
        changes.put_assignments.push_back(sample_assignment(pick_name(), pick(8), pick(100)));
        break;
      case 9:
        changes.dropped_assignments.push_back({pick_kme(), pick(8)});
        break;
      case 10:
        changes.new_outbox.push_back({pick_kme(), pick(8), api::Void{.record = pick(9)}});
        break;
      case 11:
        changes.acknowledged_outbox.emplace_back(pick_kme(), pick(8));
        break;
      default:
        changes.cleared_outboxes.push_back(pick_kme());
        break;
    }
  }

  std::mt19937_64 random_;
};

// Every other history with an epoch per commit, and rows sealed anew soon. The census adds up at each restart.
TEST(Stores, AgreeOnRandomHistories) {
  const EpochSettings usual, hasty{.life = std::chrono::seconds(0), .reseal_after = 2};
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History for_memory(seed), for_sqlite(seed);
    MemoryBench memory;
    SqliteBench sqlite(seed % 2 == 0 ? hasty : usual);
    for (int step = 0; step < 60; ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      ASSERT_EQ(memory.store().commit(for_memory.next_commit()), sqlite.store().commit(for_sqlite.next_commit()));
      if (for_memory.restarts()) memory.reopen();
      if (for_sqlite.restarts()) sqlite.reopen();
      ASSERT_TRUE(sqlite.sqlite_store().quarantined().empty());
      ASSERT_EQ(describe(*memory.store().load_all()), describe(*sqlite.store().load_all()));
      ASSERT_EQ(describe(*memory.store().load(for_memory.next_needs())),
                describe(*sqlite.store().load(for_sqlite.next_needs())));
    }
  }
}

}  // namespace
}  // namespace qkms::storage
