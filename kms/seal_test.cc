// A node that an operator seals: what it gives while it is sealed (nothing), and what it still has afterwards.
#include <gtest/gtest.h>

#include <algorithm>

#include "kms/node.h"
#include "kms/testing/sites.h"

namespace qkms::kms {
namespace {

using storage::CommitFate;
using storage::MemoryStore;
using testing::kme;
using testing::sae;
using testing::Site;
using testing::Sites;

KeyRequest get_key(const std::string& master, const std::string& slave) { return {sae(master), sae(slave), {}, 1, {}}; }

// KME-B holds a key for its SAE-B1; KME-A has its name and its bits.
class Seal : public ::testing::Test {
 protected:
  void SetUp() override {
    sites.connect("KME-A", "KME-B");
    sites.feed("link-ab", 1, 4096);
    given = sites.keys("KME-A", get_key("SAE-A1", "SAE-B1"));
  }
  KeyIdsRequest fetch() const { return {sae("SAE-B1"), sae("SAE-A1"), given.ids}; }
  void expect_accounts_balance() {
    const auto a = sites.reservoir("KME-A", "KME-B");
    const auto b = sites.reservoir("KME-B", "KME-A");
    EXPECT_EQ(Sites::accounted(a), a.ledger.in);
    EXPECT_EQ(Sites::accounted(b), b.ledger.in);
    EXPECT_EQ(a.available_own_bits, b.available_peer_bits);
    EXPECT_EQ(a.available_peer_bits, b.available_own_bits);
  }
  // Those of seals and unsealings, as "action reason count".
  std::vector<std::string> records_of(const std::string& name) {
    std::vector<std::string> found;
    for (const api::AuditRecord& record : sites.at(name).store.audit_log()) {
      if (record.action != api::AuditAction::kSeal && record.action != api::AuditAction::kUnseal) continue;
      EXPECT_EQ(record.actor, "admin");
      found.push_back(std::string(name_of(record.action)) + (record.reason.empty() ? "" : " " + record.reason) +
                      (record.count == 0 ? "" : " " + std::to_string(record.count)));
    }
    return found;
  }

  Sites sites;
  KeysReply given;
};

TEST_F(Seal, GivesNothingUntilItIsUnsealedAndEverythingAfter) {
  sites.seal("KME-B");
  EXPECT_EQ(sites.at("KME-B").node->state(), Node::State::kSealed);
  EXPECT_EQ(sites.refusal("KME-B", fetch()), ErrorCode::kSealed);
  EXPECT_EQ(sites.refusal("KME-B", get_key("SAE-B1", "SAE-A1")), ErrorCode::kSealed);
  EXPECT_EQ(sites.refusal("KME-B", StatusRequest{sae("SAE-B1"), sae("SAE-A1")}), ErrorCode::kSealed);
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A1", "SAE-B1")), ErrorCode::kPeerUnreachable);
  ASSERT_TRUE(sites.unseal("KME-B"));
  sites.connect("KME-A", "KME-B");
  EXPECT_TRUE(sites.keys("KME-B", fetch()).bits.equals(given.bits));
  EXPECT_EQ(sites.refusal("KME-B", fetch()), ErrorCode::kKeyNotFound);
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids.size(), 1u);
  expect_accounts_balance();
}

TEST_F(Seal, AnswersWhoWaitsForAPeerAndBurnsTheirBits) {
  sites.hold_frames(true);
  sites.send("KME-A", SaeEvent{77, get_key("SAE-A1", "SAE-B1")});
  sites.seal("KME-A");
  Site& a = sites.at("KME-A");
  const auto reply = std::ranges::find(a.replies, RequestToken{77}, &ReplyEffect::token);
  ASSERT_NE(reply, a.replies.end());
  EXPECT_EQ(std::get<Error>(reply->reply).code, ErrorCode::kSealed);
  sites.hold_frames(false);
  ASSERT_TRUE(sites.unseal("KME-A"));
  sites.connect("KME-A", "KME-B");
  expect_accounts_balance();
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").ledger.burned, 256u);
}

TEST_F(Seal, LeavesTheStoreAloneWhateverHappens) {
  sites.seal("KME-B");
  Site& b = sites.at("KME-B");
  int commits = 0;
  b.store.set_fate_hook([&](const Changes&) {
    ++commits;
    return CommitFate::kDurable;
  });
  sites.connect("KME-A", "KME-B");
  sites.feed("link-ab", 2, 512);
  sites.send("KME-B", AuditEvent{{.action = api::AuditAction::kConfiguration, .actor = "admin"}});
  sites.change_policy("KME-B", [](Policy& policy) { policy.homes.erase(sae("SAE-B2")); });
  sites.advance(5000);
  EXPECT_EQ(b.node->state(), Node::State::kSealed) << "as after a failed commit, it would have come back by itself";
  EXPECT_EQ(commits, 0);
  ASSERT_TRUE(sites.unseal("KME-B"));
  EXPECT_EQ(commits, 1);
}

// Its engine waits for what peers have to say, as after a start: in between, anybody may have put the file back.
TEST_F(Seal, FindsThatTheStoreWasPutBackMeanwhile) {
  sites.change_policy("KME-B", [](Policy& policy) { policy.timing.reconcile_ms = 10'000; });
  Site& b = sites.at("KME-B");
  b.store.take_copy();
  EXPECT_TRUE(sites.keys("KME-B", fetch()).bits.equals(given.bits));
  sites.advance(100);
  sites.seal("KME-B");
  b.store.put_back(MemoryStore::Declared::kNo);
  ASSERT_TRUE(sites.unseal("KME-B"));
  EXPECT_EQ(sites.refusal("KME-B", fetch()), ErrorCode::kClosed);
  sites.connect("KME-A", "KME-B");
  EXPECT_EQ(sites.refusal("KME-B", fetch()), ErrorCode::kKeyNotFound);
  EXPECT_EQ(std::ranges::count(b.notices, NoticeKind::kStoreRolledBack, &Notice::kind), 1);
}

TEST_F(Seal, WaitsForPeersAfterAnUnsealingEvenIfNothingWasPutBack) {
  sites.change_policy("KME-B", [](Policy& policy) { policy.timing.reconcile_ms = 10'000; });
  const std::uint64_t ordinal = sites.at("KME-B").store.node().ordinal;
  sites.seal("KME-B");
  ASSERT_TRUE(sites.unseal("KME-B"));
  EXPECT_EQ(sites.at("KME-B").store.node().ordinal, ordinal + 1);
  EXPECT_EQ(sites.refusal("KME-B", fetch()), ErrorCode::kClosed);
  sites.connect("KME-A", "KME-B");
  EXPECT_TRUE(sites.keys("KME-B", fetch()).bits.equals(given.bits));
}

TEST_F(Seal, IsInTheAuditLogWithWhatCouldNotBeWrittenMeanwhile) {
  sites.seal("KME-B");
  EXPECT_EQ(records_of("KME-B"), (std::vector<std::string>{"seal"})) << "before the store is closed";
  const auto refuse = [&](const char* why) {
    sites.send("KME-B", AuditEvent{{.action = api::AuditAction::kUnseal, .actor = "admin", .reason = why}});
  };
  for (int i = 0; i < 3; ++i) refuse("refused: wrong");
  refuse("refused: no keyring");
  EXPECT_EQ(records_of("KME-B").size(), 1u);
  ASSERT_TRUE(sites.unseal("KME-B"));
  EXPECT_EQ(records_of("KME-B"),
            (std::vector<std::string>{"seal", "unseal refused: wrong 3", "unseal refused: no keyring", "unseal"}));
}

TEST_F(Seal, TakesNoMoreRecordsThanItsMemoryCanHold) {
  sites.seal("KME-B");
  for (int i = 0; i < 3000; ++i) {
    sites.send("KME-B", AuditEvent{{.action = api::AuditAction::kConfiguration, .reason = std::to_string(i)}});
  }
  const std::size_t before = sites.at("KME-B").store.audit_log().size();
  ASSERT_TRUE(sites.unseal("KME-B"));
  EXPECT_EQ(sites.at("KME-B").store.audit_log().size(), before + 1000 + 1);
}

TEST_F(Seal, NeedsNoStoreThatCanBeWritten) {
  Site& b = sites.at("KME-B");
  b.store.set_fate_hook([](const Changes&) { return CommitFate::kFailed; });
  sites.seal("KME-B");
  EXPECT_EQ(b.node->state(), Node::State::kSealed);
  EXPECT_EQ(records_of("KME-B").size(), 0u);
  EXPECT_FALSE(sites.unseal("KME-B"));
  EXPECT_EQ(b.node->state(), Node::State::kSealed);
  sites.advance(2000);
  EXPECT_EQ(b.node->state(), Node::State::kSealed);
  b.store.set_fate_hook({});
  ASSERT_TRUE(sites.unseal("KME-B"));
  EXPECT_EQ(records_of("KME-B"), (std::vector<std::string>{"seal", "unseal"}));
  sites.connect("KME-A", "KME-B");
  EXPECT_TRUE(sites.keys("KME-B", fetch()).bits.equals(given.bits));
}

TEST_F(Seal, DiesWhenItIsInDoubtWhetherItsRecordIsThere) {
  Site& b = sites.at("KME-B");
  b.store.set_fate_hook([](const Changes&) { return CommitFate::kUnknownLost; });
  sites.seal("KME-B");
  EXPECT_EQ(b.node->state(), Node::State::kDead);
}

TEST_F(Seal, MayBeHowANodeStarts) {
  Site& b = sites.at("KME-B");
  sites.disconnect("KME-A", "KME-B");
  b.close();
  b.store.crash();
  b.node = Node::sealed(b.policy, b.store, b.random);
  EXPECT_EQ(b.node->state(), Node::State::kSealed);
  EXPECT_EQ(b.node->stored_time(), 0);
  EXPECT_EQ(sites.refusal("KME-B", fetch()), ErrorCode::kSealed);
  ASSERT_TRUE(sites.unseal("KME-B"));
  EXPECT_GE(b.node->stored_time(), 1'000'000);
  sites.connect("KME-A", "KME-B");
  EXPECT_TRUE(sites.keys("KME-B", fetch()).bits.equals(given.bits));
}

TEST_F(Seal, RefusesTheStoreOfAnotherKme) {
  Site& b = sites.at("KME-B");
  auto foreign = Node::sealed(sites.at("KME-A").policy, b.store, b.random);
  const auto unsealed = foreign->unseal({.action = api::AuditAction::kUnseal}, sites.now);
  ASSERT_FALSE(unsealed);
  EXPECT_EQ(unsealed.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(foreign->state(), Node::State::kSealed);
}

TEST_F(Seal, ServesByThePolicyThatCameMeanwhile) {
  sites.seal("KME-B");
  sites.change_policy("KME-B", [](Policy& policy) { policy.homes.erase(sae("SAE-B1")); });
  ASSERT_TRUE(sites.unseal("KME-B"));
  sites.connect("KME-A", "KME-B");
  EXPECT_NE(sites.refusal("KME-B", fetch()), ErrorCode::kSealed);
}

// A clock that went on while the node was sealed: life is as long as it was promised, not longer.
TEST_F(Seal, StopsNoKeyFromExpiring) {
  sites.seal("KME-B");
  sites.now += sites.at("KME-B").policy->keys.key_life_ms;
  ASSERT_TRUE(sites.unseal("KME-B"));
  sites.connect("KME-A", "KME-B");
  EXPECT_EQ(sites.refusal("KME-B", fetch()), ErrorCode::kKeyNotFound);
}

}  // namespace
}  // namespace qkms::kms
