// What every store promises (kms/store.h), run against the one in SQLite and the one in memory; and the two against
// each other.
#include <gtest/gtest.h>

#include <functional>

#include "storage/store_bench.h"
#include "storage/store_samples.h"

namespace qkms::storage {
namespace {

using kms::Changes;
using kms::CommitOutcome;
using kms::Loaded;
using kms::Needs;
using kms::Snapshot;

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Bench>()> make;
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class StoreContract : public testing::TestWithParam<Kind> {
 protected:
  kms::Store& store() { return bench_->store(); }
  Snapshot snapshot() { return store().load_all().value(); }
  Loaded load(Needs needs) { return store().load(needs).value(); }
  Loaded load_assignment(std::string_view issuer, std::uint64_t record) {
    return load({.extent_bits = {}, .assignments = {{kme(issuer), record}}, .expired_at = {}});
  }
  Loaded load_bits(std::string_view peer, std::uint64_t id) {
    return load({.extent_bits = {{kme(peer), id}}, .assignments = {}, .expired_at = {}});
  }
  Loaded load_expired(Millis now) { return load({.extent_bits = {}, .assignments = {}, .expired_at = now}); }

  void commit(Changes changes) { ASSERT_EQ(store().commit(std::move(changes)), CommitOutcome::kDurable); }
  // Over a restart, what was there is there.
  void expect_the_same_after_reopening() {
    const std::string before = describe(snapshot());
    bench_->reopen();
    EXPECT_EQ(describe(snapshot()), before);
  }

  std::unique_ptr<Bench> bench_ = GetParam().make();
};

INSTANTIATE_TEST_SUITE_P(, StoreContract,
                         testing::Values(Kind{"Memory", [] { return std::make_unique<MemoryBench>(); }},
                                         Kind{"Sqlite", [] { return std::make_unique<SqliteBench>(); }}),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST_P(StoreContract, IsEmptyWhenNew) {
  EXPECT_EQ(describe(snapshot()), describe(Snapshot{}));
  EXPECT_TRUE(snapshot().node.self.empty());
  EXPECT_EQ(describe(load({.extent_bits = {{kme("KME-B"), 1}}, .assignments = {{kme("KME-B"), 1}}, .expired_at = 99})),
            describe(Loaded{}));
}

TEST_P(StoreContract, KeepsTheNodesRow) {
  Changes changes;
  changes.node = sample_node();
  commit(std::move(changes));
  EXPECT_EQ(snapshot().node.self, kme("KME-A"));
  EXPECT_EQ(snapshot().node.incarnation, 0xfedcba9876543210);
  EXPECT_TRUE(snapshot().node.id_key.equals(bits(32, 9)));
  EXPECT_TRUE(snapshot().node.mark_key.equals(bits(32, 77)));
  EXPECT_EQ(snapshot().node.progress, 12U);
  EXPECT_TRUE(snapshot().node.restored);
  expect_the_same_after_reopening();

  Changes later;
  later.node = sample_node();
  later.node->time = 999;
  later.node->restored = false;
  commit(std::move(later));
  EXPECT_EQ(snapshot().node.time, 999);
  EXPECT_FALSE(snapshot().node.restored);
  expect_the_same_after_reopening();
}

TEST_P(StoreContract, KeepsPeersInOrderAndReplacesThem) {
  Changes changes;
  changes.put_peers = {sample_peer("KME-Z"), sample_peer("KME-B"), sample_peer("KME-Z", 50)};
  commit(std::move(changes));
  const Snapshot found = snapshot();
  ASSERT_EQ(found.peers.size(), 2U);
  EXPECT_EQ(found.peers[0], sample_peer("KME-B"));
  EXPECT_EQ(found.peers[1], sample_peer("KME-Z", 50));
  expect_the_same_after_reopening();
}

TEST_P(StoreContract, KeepsExtentsByPeerThenNumber) {
  Changes changes;
  for (const std::uint64_t id : {7, 3, 5}) changes.new_extents.emplace_back(sample_extent("KME-Z", id), bits(64, 1));
  changes.new_extents.emplace_back(sample_extent("KME-B", 9), bits(64, 2));
  commit(std::move(changes));
  const Snapshot found = snapshot();
  ASSERT_EQ(found.extents.size(), 4U);
  EXPECT_EQ(found.extents[0], sample_extent("KME-B", 9));
  EXPECT_EQ(found.extents[1], sample_extent("KME-Z", 3));
  EXPECT_EQ(found.extents[3], sample_extent("KME-Z", 7));
  expect_the_same_after_reopening();
}

TEST_P(StoreContract, MovesAnExtentAndLeavesItsBits) {
  Changes changes;
  changes.new_extents.emplace_back(sample_extent("KME-B", 1), bits(64, 2));
  commit(std::move(changes));
  Changes move;
  move.moved_extents = {sample_extent("KME-B", 1, 32)};
  move.moved_extents[0].owner = kms::Owner::kPeer;
  commit(std::move(move));
  const Snapshot found = snapshot();
  ASSERT_EQ(found.extents.size(), 1U);
  EXPECT_EQ(found.extents[0].front, 32U);
  EXPECT_EQ(found.extents[0].owner, kms::Owner::kPeer);
  bench_->reopen();
  EXPECT_TRUE(load_bits("KME-B", 1).extent_bits.at({kme("KME-B"), 1}).equals(bits(64, 2)));
}

// What it says of the bits would not be stored, and the bits used again.
TEST_P(StoreContract, FailsToMoveAnExtentThatIsNotThere) {
  Changes changes;
  changes.new_extents.emplace_back(sample_extent("KME-B", 1), bits(64, 2));
  commit(std::move(changes));
  for (const kms::ExtentRow& missing : {sample_extent("KME-B", 77), sample_extent("KME-C", 1)}) {
    Changes move;
    move.moved_extents = {sample_extent("KME-B", 1, 32), missing};
    EXPECT_EQ(bench_->store().commit(std::move(move)), kms::CommitOutcome::kFailed);
    EXPECT_EQ(snapshot().extents.at(0).front, 0U);
  }
  Changes burn;  // a batch may have moved what it burns
  burn.burned = true;
  burn.moved_extents = {sample_extent("KME-B", 1, 32)};
  commit(std::move(burn));
  EXPECT_TRUE(snapshot().extents.empty());
  expect_the_same_after_reopening();
}

TEST_P(StoreContract, DropsAnExtentWithItsBits) {
  Changes changes;
  for (const std::uint64_t id : {1, 2}) changes.new_extents.emplace_back(sample_extent("KME-B", id), bits(64, 2));
  commit(std::move(changes));
  Changes drop;
  drop.dropped_extents = {{kme("KME-B"), 1}, {kme("KME-B"), 66}, {kme("KME-C"), 2}};
  commit(std::move(drop));
  EXPECT_EQ(snapshot().extents.size(), 1U);
  EXPECT_TRUE(load_bits("KME-B", 1).extent_bits.empty());
  EXPECT_EQ(load_bits("KME-B", 2).extent_bits.size(), 1U);
  // The number is free again.
  Changes again;
  again.new_extents.emplace_back(sample_extent("KME-B", 1), bits(64, 5));
  commit(std::move(again));
  EXPECT_TRUE(load_bits("KME-B", 1).extent_bits.at({kme("KME-B"), 1}).equals(bits(64, 5)));
}

TEST_P(StoreContract, KeepsBlocksInTheOrderTheyCame) {
  Changes changes;
  changes.new_blocks.push_back(sample_block("link 2", 30));
  changes.new_blocks.push_back(sample_block("link 1", 20));
  changes.new_blocks.push_back(sample_block("link 1", 30));
  commit(std::move(changes));
  Changes more;
  more.new_blocks.push_back(sample_block("link 2", 10));
  more.dropped_blocks = {{link("link 1"), block(20)}, {link("link 2"), block(20)}, {link("link 9"), block(1)}};
  commit(std::move(more));
  const Snapshot found = snapshot();
  ASSERT_EQ(found.blocks.size(), 3U);
  EXPECT_EQ(found.blocks[0].link, link("link 2"));
  EXPECT_EQ(found.blocks[0].block, block(30));
  EXPECT_EQ(found.blocks[1].link, link("link 1"));
  EXPECT_EQ(found.blocks[2].block, block(10));
  EXPECT_TRUE(found.blocks[2].bits.equals(bits(96, 10)));
  expect_the_same_after_reopening();
  Changes last;
  last.dropped_blocks = {{link("link 2"), block(30)}, {link("link 1"), block(30)}, {link("link 2"), block(10)}};
  commit(std::move(last));
  EXPECT_TRUE(snapshot().blocks.empty());
}

TEST_P(StoreContract, RemembersTheLastBlocksSeenOnEachLink) {
  constexpr auto kCount = static_cast<std::uint32_t>(kms::kSeenBlocksPerLink);
  Changes changes;
  changes.seen_blocks.push_back({link("other"), block(7)});
  for (std::uint32_t i = 0; i < kCount; ++i) changes.seen_blocks.push_back({link("link"), block(i)});
  commit(std::move(changes));
  bench_->reopen();
  Changes more;
  for (std::uint32_t i = 0; i < 3; ++i) more.seen_blocks.push_back({link("link"), block(kCount + i)});
  commit(std::move(more));
  const Snapshot found = snapshot();
  ASSERT_EQ(found.seen_blocks.size(), kCount + 1U);
  for (std::uint32_t i = 0; i < kCount; ++i) ASSERT_EQ(found.seen_blocks[i].block, block(i + 3)) << i;
  EXPECT_EQ(found.seen_blocks.back().link, link("other"));
  EXPECT_EQ(found.seen_blocks.back().block, block(7));
}

TEST_P(StoreContract, KeepsAssignmentsAndReplacesThem) {
  Changes changes;
  changes.put_assignments.push_back(sample_assignment("KME-B", 5));
  changes.put_assignments.push_back(sample_assignment("KME-A", 5));
  commit(std::move(changes));
  bench_->reopen();
  const std::string sample =
      "KME-B 5: assignment KME-B 5 master to CN=slave, O=1 slave 2 2x16 expires 1000 ledger 1 "
      "fetched 32769 2 bits 05060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324\n"
      "unreadable 0\n";
  EXPECT_EQ(describe(load_assignment("KME-B", 5)), sample);

  Changes replace;
  replace.put_assignments.push_back(sample_assignment("KME-B", 5));
  replace.put_assignments[0].fetched = {};
  replace.put_assignments[0].slaves = {};
  replace.put_assignments[0].on_ledger = false;
  replace.put_assignments[0].bits = SecretBytes();
  replace.dropped_assignments = {{kme("KME-A"), 5}, {kme("KME-A"), 6}, {kme("KME-X"), 5}};
  commit(std::move(replace));
  bench_->reopen();
  EXPECT_EQ(describe(load_assignment("KME-B", 5)),
            "KME-B 5: assignment KME-B 5 master to 2x16 expires 1000 ledger 0 fetched bits \nunreadable 0\n");
  EXPECT_TRUE(load_assignment("KME-A", 5).assignments.empty());
}

TEST_P(StoreContract, FindsExpiredAssignmentsByIssuerUpToTheFirstThatHasNot) {
  Changes changes;
  struct Row {
    const char* issuer;
    std::uint64_t record;
    Millis expires_at;
  };
  for (const Row& row : {Row{"KME-Z", 1, 10}, {"KME-Z", 2, 20}, {"KME-B", 4, 20}, {"KME-B", 5, 21}, {"KME-B", 6, 5}}) {
    changes.put_assignments.push_back(sample_assignment(row.issuer, row.record, row.expires_at));
  }
  commit(std::move(changes));
  struct Case {
    const char* name;
    Millis now;
    std::vector<kms::AssignmentId> expired;
  };
  const Case cases[] = {
      {"before all", 9, {}},
      {"at the first", 10, {{kme("KME-Z"), 1}}},
      {"one behind a younger one waits", 20, {{kme("KME-B"), 4}, {kme("KME-Z"), 1}, {kme("KME-Z"), 2}}},
      {"after all",
       21,
       {{kme("KME-B"), 4}, {kme("KME-B"), 5}, {kme("KME-B"), 6}, {kme("KME-Z"), 1}, {kme("KME-Z"), 2}}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const Loaded loaded = load_expired(c.now);
    EXPECT_EQ(loaded.expired, c.expired);
    EXPECT_EQ(loaded.assignments.size(), c.expired.size());
  }
  // One that is asked for by name as well is there once, and found.
  const Loaded both =
      load({.extent_bits = {}, .assignments = {{kme("KME-Z"), 1}, {kme("KME-B"), 6}}, .expired_at = 10});
  EXPECT_EQ(both.expired.size(), 1U);
  EXPECT_EQ(both.assignments.size(), 2U);
}

TEST_P(StoreContract, FindsExpiredAssignmentsABatchAtATime) {
  Changes changes;
  for (std::uint64_t i = 0; i < kms::kExpiryBatch + 10; ++i) {
    changes.put_assignments.push_back(sample_assignment(i % 2 == 0 ? "KME-B" : "KME-C", i));
  }
  commit(std::move(changes));
  const Loaded first = load_expired(1000);
  EXPECT_EQ(first.expired.size(), kms::kExpiryBatch);
  EXPECT_EQ(first.assignments.size(), kms::kExpiryBatch);
  Changes drop;
  drop.dropped_assignments = first.expired;
  commit(std::move(drop));
  EXPECT_EQ(load_expired(1000).expired.size(), 10U);
}

TEST_P(StoreContract, KeepsEveryKindOfMessageInTheOutbox) {
  api::Assign assign;
  assign.record = 3;
  assign.master = sae("m");
  assign.slaves = {sae("s")};
  assign.key_count = 1;
  assign.key_bytes = 8;
  assign.life_ms = 5;
  assign.ranges = {{.extent = 1, .offset = 2, .size = 8}};
  api::Assign padded = assign;
  padded.under_pad.assign(8, 0x5a);
  const std::vector<api::Message> messages{
      api::BlockOffer{.link = link("l"), .block = block(1), .size = 96, .leader_bytes = 32, .tag = {}},
      api::BlockAccept{.link = link("l"), .block = block(1), .first_extent = 7},
      api::BlockReject{.link = link("l"), .block = block(1), .reason = api::BlockRejectReason::kExpired},
      assign,
      padded,
      api::AssignRefuse{.record = 3, .reason = api::AssignRefuseReason::kUnreadable},
      api::Void{.record = 3},
      api::ExtentRequest{.wanted_bytes = 1000},
      api::ExtentGive{.extents = {1, 2}},
      api::Burn{.ranges = {{.extent = 1, .offset = 2, .size = 3}}}};
  Changes changes;
  for (std::size_t i = 0; i < messages.size(); ++i) changes.new_outbox.push_back({kme("KME-B"), i + 1, messages[i]});
  commit(std::move(changes));
  bench_->reopen();
  const Snapshot found = snapshot();
  ASSERT_EQ(found.outbox.size(), messages.size());
  for (std::size_t i = 0; i < messages.size(); ++i) {
    EXPECT_EQ(found.outbox[i].sequence, i + 1);
    EXPECT_EQ(found.outbox[i].message, messages[i]) << i;
  }
}

TEST_P(StoreContract, AcknowledgesAndClearsOutboxesPeerByPeer) {
  Changes changes;
  for (const std::uint64_t sequence : {3, 1, 2}) {
    changes.new_outbox.push_back({kme("KME-Z"), sequence, api::Void{.record = sequence}});
    changes.new_outbox.push_back({kme("KME-B"), sequence, api::Void{.record = sequence}});
  }
  commit(std::move(changes));
  Changes next;
  next.acknowledged_outbox = {{kme("KME-Z"), 2}, {kme("KME-X"), 2}};
  next.cleared_outboxes = {kme("KME-B"), kme("KME-Y")};
  next.new_outbox.push_back({kme("KME-B"), 1, api::Void{.record = 99}});
  commit(std::move(next));
  const Snapshot found = snapshot();
  ASSERT_EQ(found.outbox.size(), 2U);
  EXPECT_EQ(found.outbox[0].peer, kme("KME-B"));
  EXPECT_EQ(found.outbox[0].message, api::Message(api::Void{.record = 99}));
  EXPECT_EQ(found.outbox[1].peer, kme("KME-Z"));
  EXPECT_EQ(found.outbox[1].sequence, 3U);
  expect_the_same_after_reopening();
}

TEST_P(StoreContract, AppliesTheStepsOfOneCommitInOrder) {
  Changes changes;
  for (const std::uint64_t id : {1, 2}) changes.new_extents.emplace_back(sample_extent("KME-B", id), bits(64, 1));
  changes.moved_extents = {sample_extent("KME-B", 1, 8), sample_extent("KME-B", 1, 16)};
  changes.dropped_extents = {{kme("KME-B"), 2}};
  changes.new_blocks.push_back(sample_block("link", 1));
  changes.dropped_blocks = {{link("link"), block(1)}};
  changes.put_assignments.push_back(sample_assignment("KME-B", 1));
  changes.dropped_assignments = {{kme("KME-B"), 1}};
  changes.new_outbox.push_back({kme("KME-B"), 1, api::Void{.record = 1}});
  changes.acknowledged_outbox = {{kme("KME-B"), 1}};
  commit(std::move(changes));
  const Snapshot found = snapshot();
  ASSERT_EQ(found.extents.size(), 1U);
  EXPECT_EQ(found.extents[0].front, 16U);
  EXPECT_TRUE(found.blocks.empty());
  EXPECT_TRUE(found.outbox.empty());
  EXPECT_TRUE(load_assignment("KME-B", 1).assignments.empty());
}

TEST_P(StoreContract, BurnsWhatWasStoredBeforeAndNothingElse) {
  Changes before;
  before.put_peers.push_back(sample_peer("KME-B"));
  before.new_extents.emplace_back(sample_extent("KME-B", 1), bits(64, 1));
  before.new_blocks.push_back(sample_block("link", 1));
  before.seen_blocks.push_back({link("link"), block(9)});
  before.put_assignments.push_back(sample_assignment("KME-B", 1));
  before.put_assignments.push_back(sample_assignment("KME-A", 1));
  before.new_outbox.push_back({kme("KME-B"), 1, api::Void{.record = 1}});
  commit(std::move(before));

  Changes changes;
  changes.burned = true;
  changes.new_extents.emplace_back(sample_extent("KME-B", 1), bits(64, 2));
  changes.new_blocks.push_back(sample_block("link", 1));
  changes.put_assignments.push_back(sample_assignment("KME-A", 2));
  commit(std::move(changes));
  EXPECT_TRUE(load_bits("KME-B", 1).extent_bits.at({kme("KME-B"), 1}).equals(bits(64, 2)));
  EXPECT_TRUE(load_assignment("KME-B", 1).assignments.empty());
  EXPECT_TRUE(load_assignment("KME-A", 1).assignments.empty());
  EXPECT_EQ(load_assignment("KME-A", 2).assignments.size(), 1U);
  const Snapshot found = snapshot();
  EXPECT_EQ(found.extents.size(), 1U);
  EXPECT_EQ(found.blocks.size(), 1U);
  EXPECT_EQ(found.peers.size(), 1U);
  EXPECT_EQ(found.outbox.size(), 1U);
  EXPECT_EQ(found.seen_blocks.size(), 1U);
  expect_the_same_after_reopening();
}

// Something new in place of what is there would bring used bits back: the commit fails, and nothing of it is applied.
TEST_P(StoreContract, RefusesAsNewWhatIsThereAndAppliesNothing) {
  Changes first;
  first.node = sample_node();
  first.new_extents.emplace_back(sample_extent("KME-B", 1), bits(64, 1));
  first.new_blocks.push_back(sample_block("link", 1));
  first.new_outbox.push_back({kme("KME-B"), 1, api::Void{.record = 1}});
  commit(std::move(first));
  const std::string before = describe(snapshot());
  struct Case {
    const char* name;
    std::function<void(Changes&)> add;
  };
  const Case cases[] = {
      {"extent", [](Changes& c) { c.new_extents.emplace_back(sample_extent("KME-B", 1), bits(64, 2)); }},
      {"block", [](Changes& c) { c.new_blocks.push_back(sample_block("link", 1)); }},
      {"message", [](Changes& c) { c.new_outbox.push_back({kme("KME-B"), 1, api::Void{.record = 2}}); }},
      {"extent twice",
       [](Changes& c) {
         for (int i = 0; i < 2; ++i) c.new_extents.emplace_back(sample_extent("KME-B", 8), bits(64, 2));
       }},
      {"block twice",
       [](Changes& c) {
         for (int i = 0; i < 2; ++i) c.new_blocks.push_back(sample_block("link", 8));
       }},
      {"message twice",
       [](Changes& c) {
         for (int i = 0; i < 2; ++i) c.new_outbox.push_back({kme("KME-B"), 8, api::Void{.record = 2}});
       }},
  };
  const auto others = [] {
    Changes changes;
    changes.put_peers = {sample_peer("KME-New")};
    changes.new_extents.emplace_back(sample_extent("KME-New", 1), bits(64, 3));
    changes.new_blocks.push_back(sample_block("new link", 2));
    changes.dropped_blocks = {{link("link"), block(1)}};
    changes.seen_blocks.push_back({link("new link"), block(2)});
    changes.put_assignments.push_back(sample_assignment("KME-New", 1));
    return changes;
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    Changes changes = others();
    c.add(changes);
    EXPECT_EQ(store().commit(std::move(changes)), CommitOutcome::kFailed);
    EXPECT_EQ(describe(snapshot()), before);
    EXPECT_TRUE(load_assignment("KME-New", 1).assignments.empty());
  }
  // The same without the conflict goes through: a failed commit left nothing behind, in memory neither.
  commit(others());
  EXPECT_EQ(snapshot().blocks.size(), 1U);
  EXPECT_EQ(snapshot().extents.size(), 2U);
  expect_the_same_after_reopening();
}

TEST_P(StoreContract, GivesCopies) {
  Changes changes;
  changes.node = sample_node();
  changes.new_extents.emplace_back(sample_extent("KME-B", 1), bits(64, 1));
  changes.new_blocks.push_back(sample_block("link", 1));
  changes.put_assignments.push_back(sample_assignment("KME-B", 1));
  commit(std::move(changes));
  const Needs needs{.extent_bits = {{kme("KME-B"), 1}}, .assignments = {{kme("KME-B"), 1}}, .expired_at = {}};
  const std::string before = describe(snapshot()) + describe(load(needs));
  Snapshot taken = snapshot();
  taken.node.id_key.clear();
  wipe(taken.blocks[0].bits.reveal_mutable());
  Loaded loaded = load(needs);
  wipe(loaded.extent_bits.begin()->second.reveal_mutable());
  wipe(loaded.assignments.begin()->second.bits.reveal_mutable());
  EXPECT_EQ(describe(snapshot()) + describe(load(needs)), before);
}

TEST_P(StoreContract, LeavesOutWhatFailsItsCheckAndCountsIt) {
  Changes changes;
  for (const std::uint64_t id : {1, 2}) {
    changes.new_extents.emplace_back(sample_extent("KME-B", id), bits(64, 1));
    changes.put_assignments.push_back(sample_assignment("KME-B", id));
  }
  commit(std::move(changes));
  bench_->spoil(kms::ExtentKey{kme("KME-B"), 1});
  bench_->spoil(kms::AssignmentId{kme("KME-B"), 1});
  EXPECT_EQ(snapshot().extents.size(), 2U) << "its bits are damaged, not its place";

  const Loaded loaded = load({.extent_bits = {{kme("KME-B"), 1}, {kme("KME-B"), 2}},
                              .assignments = {{kme("KME-B"), 1}, {kme("KME-B"), 2}},
                              .expired_at = {}});
  EXPECT_EQ(loaded.unreadable, 2U);
  EXPECT_EQ(loaded.extent_bits.size(), 1U);
  EXPECT_EQ(loaded.assignments.size(), 1U);

  // The expiry look-up goes past it, and counts it once.
  for (const std::uint64_t unreadable : {1, 0}) {
    const Loaded expired = load_expired(1000);
    EXPECT_EQ(expired.expired, std::vector<kms::AssignmentId>({{kme("KME-B"), 2}}));
    EXPECT_EQ(expired.unreadable, unreadable);
  }
  bench_->reopen();
  EXPECT_EQ(load_expired(1000).unreadable, 1U);

  // Put anew or dropped, it is a row like others.
  Changes repair;
  repair.put_assignments.push_back(sample_assignment("KME-B", 1));
  repair.dropped_extents = {{kme("KME-B"), 1}};
  commit(std::move(repair));
  EXPECT_EQ(load_assignment("KME-B", 1).assignments.size(), 1U);
  EXPECT_EQ(load_bits("KME-B", 1).unreadable, 0U);
}

TEST_P(StoreContract, TakesACommitOfNothing) {
  EXPECT_EQ(store().commit({}), CommitOutcome::kDurable);
  EXPECT_EQ(describe(snapshot()), describe(Snapshot{}));
}

}  // namespace
}  // namespace qkms::storage
