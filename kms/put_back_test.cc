// A store that was put back to an earlier state: nothing that it holds is given out twice (threat T25).
#include <gtest/gtest.h>

#include <algorithm>

#include "kms/testing/sites.h"

namespace qkms::kms {
namespace {

using testing::kme;
using testing::sae;
using testing::Sites;
using Declared = storage::MemoryStore::Declared;

KeyRequest get_key(const std::string& master, const std::string& slave, std::uint64_t number = 1) {
  return {sae(master), sae(slave), {}, number, {}};
}

KeyIdsRequest by_ids(const std::string& slave, const std::string& master, std::vector<KeyId> ids) {
  return {sae(slave), sae(master), std::move(ids)};
}

// KME-A has two peers. A copy of its store is taken while it holds keys of KME-B's master, and of its own, for slaves
// of its own.
class PutBack : public ::testing::Test {
 protected:
  PutBack() {
    sites.at("KME-A").policy->timing.reconcile_ms = 10'000;
    for (const char* other : {"KME-B", "KME-C"}) sites.connect("KME-A", other);
    sites.feed("link-ab", 1, 4096);
    sites.feed("link-ac", 2, 4096);
    from_b = sites.keys("KME-B", get_key("SAE-B1", "SAE-A1", 3)).ids;
    local = sites.keys("KME-A", get_key("SAE-A2", "SAE-A1", 3)).ids;
    sites.advance(100);  // all have heard of it
    sites.at("KME-A").store.take_copy();
  }
  void fetch_all() {
    EXPECT_EQ(sites.keys("KME-A", by_ids("SAE-A1", "SAE-B1", from_b)).ids.size(), 3u);
    EXPECT_EQ(sites.keys("KME-A", by_ids("SAE-A1", "SAE-A2", local)).ids.size(), 3u);
  }
  void expect_all(ErrorCode code) {
    EXPECT_EQ(sites.refusal("KME-A", by_ids("SAE-A1", "SAE-B1", from_b)), code);
    EXPECT_EQ(sites.refusal("KME-A", by_ids("SAE-A1", "SAE-A2", local)), code);
  }
  auto times_noticed() {
    return std::ranges::count(sites.at("KME-A").notices, NoticeKind::kStoreRolledBack, &Notice::kind);
  }
  void expect_keys_again() {
    for (const char* other : {"KME-B", "KME-C"}) sites.connect("KME-A", other);
    sites.feed("link-ab", 11, 4096);
    sites.feed("link-ac", 12, 4096);
    const auto ids = sites.keys("KME-B", get_key("SAE-B1", "SAE-A1")).ids;
    EXPECT_EQ(sites.keys("KME-A", by_ids("SAE-A1", "SAE-B1", ids)).ids, ids);
    const auto more = sites.keys("KME-A", get_key("SAE-A1", "SAE-C1")).ids;
    EXPECT_EQ(sites.keys("KME-C", by_ids("SAE-C1", "SAE-A1", more)).ids, more);
    for (const char* other : {"KME-B", "KME-C"}) {
      const auto report = sites.reservoir("KME-A", other);
      EXPECT_EQ(Sites::accounted(report), report.ledger.in);
      EXPECT_EQ(report.available_own_bits, sites.reservoir(other, "KME-A").available_peer_bits);
    }
  }

  Sites sites;
  std::vector<KeyId> from_b, local;
};

TEST_F(PutBack, GivesNothingTwiceOnceAPeerHasToldIt) {
  fetch_all();
  sites.advance(50);
  sites.put_back("KME-A", Declared::kNo);
  expect_all(ErrorCode::kClosed);
  EXPECT_EQ(times_noticed(), 0);
  sites.connect("KME-A", "KME-B");
  EXPECT_EQ(times_noticed(), 1);
  expect_all(ErrorCode::kKeyNotFound);
  expect_keys_again();
  EXPECT_EQ(times_noticed(), 1) << "the other peer tells what is known";
}

TEST_F(PutBack, HearsOfItFromAnyOfItsPeers) {
  sites.disconnect("KME-A", "KME-B");
  fetch_all();
  sites.advance(50);
  sites.put_back("KME-A", Declared::kNo);
  sites.connect("KME-A", "KME-B");
  EXPECT_EQ(times_noticed(), 0) << "KME-B knows of nothing";
  expect_all(ErrorCode::kClosed);
  sites.connect("KME-A", "KME-C");
  EXPECT_EQ(times_noticed(), 1);
  expect_all(ErrorCode::kKeyNotFound);
  expect_keys_again();
}

TEST_F(PutBack, BurnsWhenAPeerTellsItLate) {
  fetch_all();
  sites.advance(50);
  sites.put_back("KME-A", Declared::kNo);
  sites.advance(sites.at("KME-A").policy->timing.reconcile_ms);
  sites.connect("KME-A", "KME-C");
  expect_all(ErrorCode::kKeyNotFound);
}

TEST_F(PutBack, NoticesThatItsMessagesWereForgottenThoughNewOnesHaveTheirNumbers) {
  sites.keys("KME-A", get_key("SAE-A1", "SAE-B1"));  // an Assign
  sites.put_back("KME-A", Declared::kNo);
  sites.send("KME-A", BlockArrived{testing::link("link-ab"), testing::block(7), testing::bits(7, 500)});  // an offer
  sites.connect("KME-A", "KME-B");
  EXPECT_EQ(times_noticed(), 1);
}

TEST_F(PutBack, NumbersNoKeyLikeOneOfTheLifeThatIsForgotten) {
  const auto lost = sites.keys("KME-A", get_key("SAE-A2", "SAE-A1", 1)).ids;
  sites.put_back("KME-A", Declared::kNo);
  EXPECT_NE(sites.keys("KME-A", get_key("SAE-A2", "SAE-A1", 1)).ids, lost);
}

TEST_F(PutBack, BurnsAtItsStartWhenItIsMarkedAsRestored) {
  fetch_all();
  sites.put_back("KME-A", Declared::kYes);
  expect_all(ErrorCode::kKeyNotFound);
  EXPECT_EQ(times_noticed(), 1);
  EXPECT_FALSE(sites.at("KME-A").store.node().restored);
  for (const char* peer : {"KME-B", "KME-C"}) {
    const auto report = sites.reservoir("KME-A", peer);
    EXPECT_EQ(report.available_own_bits + report.available_peer_bits + report.ledger.held, 0u);
  }
  expect_keys_again();
  EXPECT_EQ(times_noticed(), 1);
  sites.restart("KME-A");
  sites.connect("KME-A", "KME-B");
  EXPECT_EQ(times_noticed(), 1);
}

TEST_F(PutBack, IsNoRestart) {
  for (int i = 0; i < 3; ++i) {
    sites.restart("KME-A");
    expect_all(ErrorCode::kClosed);
    for (const char* other : {"KME-B", "KME-C"}) sites.connect("KME-A", other);
  }
  EXPECT_EQ(times_noticed(), 0);
  fetch_all();
}

TEST_F(PutBack, WaitsForAnAbsentPeerNoLongerThanItMust) {
  sites.restart("KME-A");
  sites.connect("KME-A", "KME-B");
  const Millis wait = sites.at("KME-A").policy->timing.reconcile_ms;
  sites.advance(wait - 50);
  expect_all(ErrorCode::kClosed);
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A1", "SAE-B1")), ErrorCode::kClosed) << "its bits may be with KME-C";
  const SaeReply status = sites.ask("KME-A", StatusRequest{sae("SAE-A1"), sae("SAE-B1")});
  EXPECT_EQ(std::get<StatusReply>(status).stored_key_count, 0u);
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A2", "SAE-A1")).ids.size(), 1u) << "new bits, of nobody else";
  sites.send("KME-A", ReportRequest{1});
  EXPECT_TRUE(sites.at("KME-A").last_report.reconciling);
  sites.advance(50);
  fetch_all();
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids.size(), 1u);
  sites.send("KME-A", ReportRequest{1});
  EXPECT_FALSE(sites.at("KME-A").last_report.reconciling);
}

TEST_F(PutBack, WaitsForNobodyWithoutPeers) {
  testing::Site& site = sites.at("KME-A");
  site.policy = std::make_shared<Policy>(*site.policy);
  site.policy->peers.clear();
  site.policy->links.clear();
  sites.restart("KME-A");
  EXPECT_EQ(sites.keys("KME-A", by_ids("SAE-A1", "SAE-A2", local)).ids, local);
}

TEST_F(PutBack, DoesNotWaitAgainAfterACommitThatFailed) {
  testing::Site& site = sites.at("KME-A");
  site.store.set_fate_hook([](const Changes&) { return storage::CommitFate::kFailed; });
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A2", "SAE-A1")), ErrorCode::kClosed);
  site.store.set_fate_hook({});
  for (const char* other : {"KME-B", "KME-C"}) sites.disconnect("KME-A", other);
  sites.advance(10'000);  // since the start
  fetch_all();
}

TEST_F(PutBack, GoesOnWithPeersThatKnowNoMarks) {
  sites.drop_marks();
  sites.restart("KME-A");
  for (const char* other : {"KME-B", "KME-C"}) sites.connect("KME-A", other);
  fetch_all();
  EXPECT_EQ(times_noticed(), 0);
}

// A peer says that it has heard this of KME-A, which is not so.
class ALiar : public PutBack {
 protected:
  void hear_from_b(const api::Mark& mark) {
    sites.disconnect("KME-A", "KME-B");
    const PeerRow& row = sites.at("KME-B").store.peers().at(kme("KME-A"));
    api::Hello hello;
    hello.sender = kme("KME-B");
    hello.incarnation = sites.at("KME-B").store.node().incarnation;
    hello.peer_incarnation = row.peer_incarnation;
    hello.pair_epoch = row.pair_epoch;
    hello.sent = row.sent;
    hello.acknowledged = row.acknowledged;
    hello.received = row.received;
    const auto id_key = sites.at("KME-B").store.node().id_key.reveal();
    std::ranges::copy(id_key, hello.id_key.begin());
    hello.heard = mark;
    sites.send("KME-A", PeerUp{kme("KME-B"), 999});
    sites.send("KME-A", PeerFrame{kme("KME-B"), 999, {0, hello}});
    sites.send("KME-A", PeerDown{kme("KME-B"), 999});
  }
};

TEST_F(ALiar, CannotMakeUsBurnWhatItHasNoPartIn) {
  api::Mark later = sites.at("KME-B").store.peers().at(kme("KME-A")).heard;
  ASSERT_NE(later.ordinal, 0u);
  later.progress += 100;
  hear_from_b(later);
  EXPECT_EQ(times_noticed(), 0);
  EXPECT_EQ(sites.at("KME-A").notices.back().kind, NoticeKind::kLinkDivergence);
  hear_from_b(sites.at("KME-C").store.peers().at(kme("KME-A")).heard);
  EXPECT_EQ(times_noticed(), 0);
  fetch_all();
  sites.connect("KME-A", "KME-B");  // the two start afresh, and nobody else
  sites.feed("link-ab", 21, 4096);
  sites.keys("KME-A", get_key("SAE-A1", "SAE-B1"));
  sites.keys("KME-A", get_key("SAE-A1", "SAE-C1"));
}

TEST_F(ALiar, GainsNothingByMarksFromLongAgo) {
  const api::Mark old = sites.at("KME-B").store.peers().at(kme("KME-A")).heard;
  for (int i = 0; i < 3; ++i) {
    sites.restart("KME-A");
    for (const char* other : {"KME-B", "KME-C"}) sites.connect("KME-A", other);
  }
  hear_from_b(old);
  EXPECT_EQ(times_noticed(), 0);
  fetch_all();
}

}  // namespace
}  // namespace qkms::kms
