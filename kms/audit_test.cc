// What the audit log says of what the engine does: every key handed out, every refusal, every bit that came in or was
// burned, in the same commit as the change.
#include <gtest/gtest.h>

#include <algorithm>

#include "kms/node.h"
#include "kms/testing/sites.h"

namespace qkms::kms {
namespace {

using api::AuditAction;
using api::AuditRecord;
using testing::kme;
using testing::sae;
using testing::Sites;

class Audit : public ::testing::Test {
 protected:
  void SetUp() override {
    sites.connect("KME-A", "KME-B");
    sites.feed("link-ab", 1, 4096);
  }
  std::vector<AuditRecord> records(const std::string& site, AuditAction action) {
    std::vector<AuditRecord> found;
    std::ranges::copy_if(sites.at(site).store.audit_log(), std::back_inserter(found),
                         [&](const AuditRecord& record) { return record.action == action; });
    return found;
  }
  std::uint64_t bits(const std::string& site, AuditAction action) {
    std::uint64_t sum = 0;
    for (const AuditRecord& record : records(site, action)) sum += record.bits;
    return sum;
  }
  KeysReply get_key(std::uint64_t number = 1) {
    return sites.keys("KME-A", KeyRequest{sae("SAE-A1"), sae("SAE-B1"), {}, number, {}});
  }
  // What the log says was burned is what the ledger says was burned, each time with a reason.
  void expect_burns_explained() {
    for (const auto& [site, peer] : {std::pair("KME-A", "KME-B"), std::pair("KME-B", "KME-A")}) {
      EXPECT_EQ(bits(site, AuditAction::kBurn), sites.reservoir(site, peer).ledger.burned) << site;
      for (const AuditRecord& record : records(site, AuditAction::kBurn)) EXPECT_NE(record.reason, "") << site;
    }
  }
  Sites sites;
};

TEST_F(Audit, NamesEveryKeyAtBothEnds) {
  const KeysReply given = get_key(3);
  const auto master = records("KME-A", AuditAction::kKeysToMaster);
  ASSERT_EQ(master.size(), 1u);
  EXPECT_EQ(master[0].actor, "SAE-A1");
  EXPECT_EQ(master[0].subject, "SAE-B1");
  EXPECT_EQ(master[0].keys, given.ids);
  EXPECT_EQ(master[0].bits, 3 * 256u);
  sites.keys("KME-B", KeyIdsRequest{sae("SAE-B1"), sae("SAE-A1"), {given.ids[1]}});
  const auto slave = records("KME-B", AuditAction::kKeysToSlave);
  ASSERT_EQ(slave.size(), 1u);
  EXPECT_EQ(slave[0].actor, "SAE-B1");
  EXPECT_EQ(slave[0].keys, std::vector{given.ids[1]});
}

TEST_F(Audit, HasWhatCameInAtBothEnds) {
  for (const char* site : {"KME-A", "KME-B"}) {
    const auto blocks = records(site, AuditAction::kIngest);
    ASSERT_EQ(blocks.size(), 1u) << site;
    EXPECT_EQ(blocks[0].bits, 4096 * 8u);
    EXPECT_EQ(blocks[0].actor, "link-ab");
  }
}

TEST_F(Audit, CountsRefusalsOnceASecond) {
  for (int i = 0; i < 5; ++i) sites.refusal("KME-A", KeyRequest{sae("SAE-A1"), sae("SAE-NOBODY"), {}, 1, {}});
  EXPECT_EQ(records("KME-A", AuditAction::kRefusal).size(), 0u);
  sites.advance(1100);
  const auto refusals = records("KME-A", AuditAction::kRefusal);
  ASSERT_EQ(refusals.size(), 1u);
  EXPECT_EQ(refusals[0].actor, "SAE-A1");
  EXPECT_EQ(refusals[0].count, 5u);
  EXPECT_EQ(refusals[0].reason, "invalid");
  sites.advance(1100);
  EXPECT_EQ(records("KME-A", AuditAction::kRefusal).size(), 1u);
}

TEST_F(Audit, ExplainsWhatARequestThatFailedBurned) {
  sites.hold_frames(true);
  sites.send("KME-A", SaeEvent{77, KeyRequest{sae("SAE-A1"), sae("SAE-B1"), {}, 1, {}}});
  sites.drop_held_frames();
  sites.hold_frames(false);
  sites.advance(10'000);
  EXPECT_EQ(bits("KME-A", AuditAction::kBurn), 256u);
  expect_burns_explained();
}

TEST_F(Audit, ExplainsWhatARestartAndAFreshStartBurned) {
  sites.hold_frames(true);
  sites.send("KME-A", SaeEvent{77, KeyRequest{sae("SAE-A1"), sae("SAE-B1"), {}, 1, {}}});
  sites.drop_held_frames();
  sites.hold_frames(false);
  sites.restart("KME-A");
  sites.connect("KME-A", "KME-B");
  const auto burns = records("KME-A", AuditAction::kBurn);
  ASSERT_FALSE(burns.empty());
  EXPECT_EQ(burns[0].reason, "a restart interrupted requests");
  expect_burns_explained();
}

TEST_F(Audit, ExplainsKeysThatNobodyFetched) {
  const KeysReply given = get_key(2);
  sites.keys("KME-B", KeyIdsRequest{sae("SAE-B1"), sae("SAE-A1"), {given.ids[0]}});
  const Millis life = sites.at("KME-B").policy->keys.key_life_ms;
  sites.now += life;
  sites.advance(1100);
  const auto expired = records("KME-B", AuditAction::kExpiry);
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].keys, std::vector{given.ids[1]});
  EXPECT_EQ(expired[0].bits, 256u);
}

TEST_F(Audit, TakesWhatTheDaemonHasToSay) {
  sites.send("KME-A", AuditEvent{{.action = AuditAction::kConfiguration, .actor = "admin", .reason = "in force"}});
  ASSERT_EQ(records("KME-A", AuditAction::kConfiguration).size(), 1u);
}

TEST_F(Audit, SaysNothingOfACommitThatFailed) {
  sites.at("KME-A").store.set_fate_hook([](const Changes&) { return storage::CommitFate::kFailed; });
  const auto before = sites.at("KME-A").store.audit_log().size();
  sites.send("KME-A", AuditEvent{{.action = AuditAction::kConfiguration}});
  EXPECT_EQ(sites.at("KME-A").store.audit_log().size(), before);
}

}  // namespace
}  // namespace qkms::kms
