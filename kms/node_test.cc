// Two and three sites, whole: what an SAE, a peer and a device see of the engine.
#include "kms/node.h"

#include <gtest/gtest.h>

#include <set>

#include "kms/testing/sites.h"

namespace qkms::kms {
namespace {

using testing::bits;
using testing::block;
using testing::kme;
using testing::link;
using testing::sae;
using testing::Site;
using testing::Sites;

KeyRequest get_key(const std::string& master, const std::string& slave, std::optional<std::uint64_t> number = {},
                   std::vector<std::string> additional = {}) {
  KeyRequest request{sae(master), sae(slave), {}, number, {}};
  for (const auto& name : additional) request.additional_slaves.push_back(sae(name));
  return request;
}

KeyIdsRequest by_ids(const std::string& slave, const std::string& master, std::vector<KeyId> ids) {
  return {sae(slave), sae(master), std::move(ids)};
}

class TwoSites : public ::testing::Test {
 protected:
  void SetUp() override {
    sites.connect("KME-A", "KME-B");
    sites.feed("link-ab", 1, 4096);
  }
  void expect_accounts_balance() {
    const auto a = sites.reservoir("KME-A", "KME-B");
    const auto b = sites.reservoir("KME-B", "KME-A");
    EXPECT_EQ(Sites::accounted(a), a.ledger.in);
    EXPECT_EQ(Sites::accounted(b), b.ledger.in);
    EXPECT_EQ(a.ledger.in, b.ledger.in);
    EXPECT_EQ(a.available_own_bits, b.available_peer_bits);
    EXPECT_EQ(a.available_peer_bits, b.available_own_bits);
    EXPECT_EQ(a.ledger.in_flight, 0u);
  }
  Sites sites;
};

TEST_F(TwoSites, DeliverAKeyToEachSideOnce) {
  const KeysReply master = sites.keys("KME-A", get_key("SAE-A1", "SAE-B1"));
  ASSERT_EQ(master.ids.size(), 1u);
  EXPECT_EQ(master.bits.size(), 32u);
  const KeysReply slave = sites.keys("KME-B", by_ids("SAE-B1", "SAE-A1", master.ids));
  EXPECT_TRUE(master.bits.equals(slave.bits));
  EXPECT_EQ(sites.refusal("KME-B", by_ids("SAE-B1", "SAE-A1", master.ids)), ErrorCode::kKeyNotFound);
  expect_accounts_balance();
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").ledger.delivered, 256u);
  EXPECT_EQ(sites.reservoir("KME-B", "KME-A").ledger.delivered, 256u);
}

TEST_F(TwoSites, TakeFromBothEndsAtOnceWithoutMeeting) {
  std::set<std::vector<std::uint8_t>> seen;
  for (int i = 0; i < 20; ++i) {
    for (const auto& [site, master, slave] :
         {std::tuple{"KME-A", "SAE-A1", "SAE-B1"}, std::tuple{"KME-B", "SAE-B1", "SAE-A1"}}) {
      const KeysReply reply = sites.keys(site, get_key(master, slave));
      seen.insert({reply.bits.reveal().begin(), reply.bits.reveal().end()});
    }
  }
  EXPECT_EQ(seen.size(), 40u);
  expect_accounts_balance();
}

TEST_F(TwoSites, NeverDeliverTheBitsThatKeyedTheMac) {
  const SecretBytes device = bits(1, 4096);
  const KeysReply reply = sites.keys("KME-A", get_key("SAE-A1", "SAE-B1"));
  EXPECT_TRUE(reply.bits.equals(device.slice(32, 32)));
}

TEST_F(TwoSites, RefuseWhatThePolicyDoesNotAllow) {
  const KeyIdsRequest mine = by_ids("SAE-B1", "SAE-A1", sites.keys("KME-A", get_key("SAE-A1", "SAE-B1", 2)).ids);
  KeyIdsRequest other = mine;
  other.caller = sae("SAE-B2");
  EXPECT_EQ(sites.refusal("KME-B", other), ErrorCode::kUnauthorised);
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A1", "SAE-B2")), ErrorCode::kUnauthorised);
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A1", "SAE-X")), ErrorCode::kInvalid);
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A1", "SAE-A1")), ErrorCode::kInvalid);
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-B1", "SAE-A1")), ErrorCode::kUnauthorised);  // not an SAE of this KME
  EXPECT_EQ(sites.refusal("KME-A", StatusRequest{sae("SAE-B1"), sae("SAE-A1")}), ErrorCode::kUnauthorised);
  EXPECT_EQ(sites.keys("KME-B", mine).ids.size(), 2u);  // nothing was consumed by the refusals
}

TEST_F(TwoSites, ConsumeNothingWhenOneOfSeveralIdsIsUnknown) {
  auto ids = sites.keys("KME-A", get_key("SAE-A1", "SAE-B1", 3)).ids;
  auto wrong = ids;
  wrong.push_back(KeyId({1, 2, 3}));
  EXPECT_EQ(sites.refusal("KME-B", by_ids("SAE-B1", "SAE-A1", wrong)), ErrorCode::kKeyNotFound);
  EXPECT_EQ(sites.refusal("KME-B", by_ids("SAE-B1", "SAE-A1", {ids[0], ids[0]})), ErrorCode::kInvalid);
  EXPECT_EQ(sites.refusal("KME-B", by_ids("SAE-B1", "SAE-A1", {})), ErrorCode::kInvalid);
  EXPECT_EQ(sites.keys("KME-B", by_ids("SAE-B1", "SAE-A1", {ids[2], ids[0], ids[1]})).ids[0], ids[2]);
}

struct SizeCase {
  const char* name;
  std::optional<std::uint64_t> number, size;
  std::optional<ErrorCode> refusal;
};

TEST_F(TwoSites, CheckNumberAndSize) {
  const SizeCase cases[] = {
      {"defaults", {}, {}, {}},
      {"smallest", 1, 64, {}},
      {"largest size", 1, 4096, {}},
      {"number 0", 0, {}, ErrorCode::kInvalid},
      {"number above the limit", 129, {}, ErrorCode::kInvalid},
      {"number far above", std::uint64_t{1} << 63, {}, ErrorCode::kInvalid},
      {"size 0", 1, 0, ErrorCode::kInvalid},
      {"size not a multiple of 8", 1, 257, ErrorCode::kSizeNotMultipleOf8},
      {"size not a multiple of 8 and too small", 1, 7, ErrorCode::kSizeNotMultipleOf8},
      {"size too small", 1, 56, ErrorCode::kInvalid},
      {"size too large", 1, 4104, ErrorCode::kInvalid},
      {"more than there is", 128, 4096, ErrorCode::kPoolExhausted},
  };
  for (const SizeCase& c : cases) {
    KeyRequest request = get_key("SAE-A1", "SAE-B1", c.number);
    request.size_bits = c.size;
    const SaeReply reply = sites.ask("KME-A", request);
    const auto* error = std::get_if<Error>(&reply);
    ASSERT_EQ(error != nullptr, c.refusal.has_value()) << c.name;
    if (error != nullptr) {
      EXPECT_EQ(error->code, *c.refusal) << c.name;
    }
  }
  expect_accounts_balance();
}

TEST_F(TwoSites, AnswerStatusWithWhatTheCallerCouldGetNow) {
  const SaeReply reply = sites.ask("KME-A", StatusRequest{sae("SAE-A1"), sae("SAE-B1")});
  const auto& status = std::get<StatusReply>(reply);
  EXPECT_EQ(status.source_kme, kme("KME-A"));
  EXPECT_EQ(status.target_kme, kme("KME-B"));
  EXPECT_EQ(status.stored_key_count, sites.reservoir("KME-A", "KME-B").available_own_bits / 256);
  sites.disconnect("KME-A", "KME-B");
  EXPECT_EQ(std::get<StatusReply>(sites.ask("KME-A", StatusRequest{sae("SAE-A1"), sae("SAE-B1")})).stored_key_count,
            0u);
}

TEST_F(TwoSites, TakeNothingWhileThePeerIsAway) {
  const auto before = sites.reservoir("KME-A", "KME-B");
  sites.disconnect("KME-A", "KME-B");
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A1", "SAE-B1")), ErrorCode::kPeerUnreachable);
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").available_own_bits, before.available_own_bits);
  sites.connect("KME-A", "KME-B");
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids.size(), 1u);
  expect_accounts_balance();
}

TEST_F(TwoSites, AnswerInTimeAndBurnWhenThePeerFallsSilent) {
  sites.hold_frames(true);
  sites.send("KME-A", SaeEvent{900, get_key("SAE-A1", "SAE-B1")});
  EXPECT_TRUE(sites.at("KME-A").replies.empty());
  sites.advance(sites.at("KME-A").policy->timing.request_deadline_ms + 50);
  ASSERT_EQ(sites.at("KME-A").replies.size(), 1u);
  EXPECT_EQ(std::get<Error>(sites.at("KME-A").replies[0].reply).code, ErrorCode::kPeerUnreachable);
  sites.hold_frames(false);
  sites.deliver();
  expect_accounts_balance();
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").ledger.burned, 256u);
  EXPECT_EQ(sites.reservoir("KME-B", "KME-A").ledger.burned, 256u);
}

TEST_F(TwoSites, CarryARequestOverAReconnectionInTime) {
  sites.hold_frames(true);
  sites.send("KME-A", SaeEvent{901, get_key("SAE-A1", "SAE-B1")});
  sites.disconnect("KME-A", "KME-B");
  sites.hold_frames(false);
  sites.connect("KME-A", "KME-B");
  ASSERT_EQ(sites.at("KME-A").replies.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<KeysReply>(sites.at("KME-A").replies[0].reply));
  expect_accounts_balance();
}

// T03: in the same session, in another one, and after a restart.
TEST_F(TwoSites, DoNothingTwiceWhenMessagesAreReplayed) {
  const auto ids = sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids;
  EXPECT_EQ(sites.keys("KME-B", by_ids("SAE-B1", "SAE-A1", ids)).ids, ids);
  const auto expect_nothing_new = [&](const char* when) {
    const Ledger before = sites.reservoir("KME-B", "KME-A").ledger;
    sites.replay_to("KME-B");
    EXPECT_EQ(sites.reservoir("KME-B", "KME-A").ledger, before) << when;
    EXPECT_EQ(sites.refusal("KME-B", by_ids("SAE-B1", "SAE-A1", ids)), ErrorCode::kKeyNotFound) << when;
  };
  expect_nothing_new("the same session");
  sites.disconnect("KME-A", "KME-B");
  sites.connect("KME-A", "KME-B");
  expect_nothing_new("another session");
  sites.restart("KME-B");
  sites.connect("KME-A", "KME-B");
  expect_nothing_new("after a restart");
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids.size(), 1u);
  expect_accounts_balance();
}

TEST_F(TwoSites, KeepKeysOverARestartOfEitherEnd) {
  const KeysReply master = sites.keys("KME-A", get_key("SAE-A1", "SAE-B1", 5));
  sites.restart("KME-B");
  sites.restart("KME-A");
  sites.connect("KME-A", "KME-B");
  EXPECT_TRUE(sites.keys("KME-B", by_ids("SAE-B1", "SAE-A1", master.ids)).bits.equals(master.bits));
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids.size(), 1u);
  expect_accounts_balance();
}

TEST_F(TwoSites, BurnAtBothEndsWhatWasInFlightAtACrash) {
  sites.hold_frames(true);
  sites.send("KME-A", SaeEvent{902, get_key("SAE-A1", "SAE-B1")});
  sites.restart("KME-A");
  sites.hold_frames(false);
  sites.connect("KME-A", "KME-B");
  expect_accounts_balance();
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").ledger.burned, 256u);
  EXPECT_EQ(sites.reservoir("KME-B", "KME-A").ledger.held, 0u);
}

TEST_F(TwoSites, LetKeysExpire) {
  const KeysReply master = sites.keys("KME-A", get_key("SAE-A1", "SAE-B1"));
  sites.now += sites.at("KME-B").policy->keys.key_life_ms;
  EXPECT_EQ(sites.refusal("KME-B", by_ids("SAE-B1", "SAE-A1", master.ids)), ErrorCode::kKeyNotFound);
  sites.connect("KME-A", "KME-B");
  sites.advance(2000);
  EXPECT_EQ(sites.reservoir("KME-B", "KME-A").ledger.expired, 256u);
  expect_accounts_balance();
}

TEST_F(TwoSites, ServeSeveralSlavesAtBothSites) {
  const KeysReply master = sites.keys("KME-A", get_key("SAE-A1", "SAE-B1", 2, {"SAE-A2"}));
  EXPECT_TRUE(sites.keys("KME-B", by_ids("SAE-B1", "SAE-A1", master.ids)).bits.equals(master.bits));
  EXPECT_TRUE(sites.keys("KME-A", by_ids("SAE-A2", "SAE-A1", master.ids)).bits.equals(master.bits));
  EXPECT_EQ(sites.refusal("KME-A", by_ids("SAE-A2", "SAE-A1", master.ids)), ErrorCode::kKeyNotFound);
  expect_accounts_balance();
}

TEST_F(TwoSites, ServeAPairAtOneSiteWithoutAnyReservoir) {
  const KeysReply master = sites.keys("KME-C", get_key("SAE-C1", "SAE-C2"));
  EXPECT_TRUE(sites.keys("KME-C", by_ids("SAE-C2", "SAE-C1", master.ids)).bits.equals(master.bits));
}

TEST_F(TwoSites, SendAThirdSiteItsCopyUnderAPad) {
  sites.connect("KME-A", "KME-C");
  sites.feed("link-ac", 7, 4096);
  const KeysReply master = sites.keys("KME-A", get_key("SAE-A1", "SAE-B1", 3, {"SAE-C1"}));
  EXPECT_TRUE(sites.keys("KME-B", by_ids("SAE-B1", "SAE-A1", master.ids)).bits.equals(master.bits));
  EXPECT_TRUE(sites.keys("KME-C", by_ids("SAE-C1", "SAE-A1", master.ids)).bits.equals(master.bits));
  EXPECT_EQ(sites.reservoir("KME-C", "KME-A").ledger.pads, 3u * 256u);
  EXPECT_EQ(sites.reservoir("KME-A", "KME-C").ledger.pads, 3u * 256u);
}

// T05
TEST_F(TwoSites, RefuseAnAssignForAnSaeThatIsNotTheirs) {
  sites.at("KME-B").policy->homes.erase(sae("SAE-B1"));
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A1", "SAE-B1")), ErrorCode::kNoRoute);
  expect_accounts_balance();
  EXPECT_EQ(sites.reservoir("KME-B", "KME-A").ledger.burned, 256u);
}

TEST_F(TwoSites, QuarantineABlockThatDiffersAtTheTwoEnds) {
  sites.send("KME-A", BlockArrived{link("link-ab"), block(9), bits(9, 1024)});
  SecretBytes flipped = bits(9, 1024);
  flipped.reveal_mutable()[700] ^= 1;
  sites.send("KME-B", BlockArrived{link("link-ab"), block(9), std::move(flipped)});
  expect_accounts_balance();
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").ledger.quarantined, 8u * (1024 - 32));
}

TEST_F(TwoSites, RefuseABlockThatCameBefore) {
  const auto before = sites.reservoir("KME-A", "KME-B");
  sites.feed("link-ab", 1, 4096);
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").ledger, before.ledger);
  sites.restart("KME-A");
  sites.connect("KME-A", "KME-B");
  sites.feed("link-ab", 1, 4096);
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").ledger, before.ledger);
}

TEST_F(TwoSites, MatchBlocksInWhateverOrderTheyCome) {
  sites.send("KME-B", BlockArrived{link("link-ab"), block(3), bits(3, 512)});
  sites.send("KME-A", BlockArrived{link("link-ab"), block(4), bits(4, 512)});
  sites.send("KME-A", BlockArrived{link("link-ab"), block(3), bits(3, 512)});
  sites.restart("KME-B");
  sites.connect("KME-A", "KME-B");
  sites.send("KME-B", BlockArrived{link("link-ab"), block(4), bits(4, 512)});
  expect_accounts_balance();
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").ledger.in, 8u * (4096 + 512 + 512));
}

TEST_F(TwoSites, ForgetABlockWhoseOtherHalfNeverComes) {
  sites.send("KME-A", BlockArrived{link("link-ab"), block(5), bits(5, 512)});
  sites.send("KME-B", BlockArrived{link("link-ab"), block(6), bits(6, 512)});
  sites.now += sites.at("KME-B").policy->links.begin()->second.block_wait_ms;
  sites.connect("KME-A", "KME-B");
  sites.advance(3000);
  for (const auto& [here, there] : {std::pair{"KME-A", "KME-B"}, std::pair{"KME-B", "KME-A"}}) {
    EXPECT_EQ(sites.reservoir(here, there).ledger.in, 8u * 4096u) << here;
    const LinkReport& report = sites.at(here).last_report.links[0];
    EXPECT_EQ(report.pending_blocks, 0u) << here;
    EXPECT_EQ(report.blocks_accepted, 1u) << here;
    EXPECT_GE(report.blocks_expired, 1u) << here;
  }
}

TEST_F(TwoSites, StartAfreshWhenOneHasLostItsStore) {
  const KeysReply master = sites.keys("KME-A", get_key("SAE-A1", "SAE-B1"));
  Site& b = sites.at("KME-B");
  sites.disconnect("KME-A", "KME-B");
  b.close();
  b.store = storage::MemoryStore();
  b.open(sites.now);
  sites.connect("KME-A", "KME-B");
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").available_own_bits, 0u);
  EXPECT_EQ(sites.refusal("KME-B", by_ids("SAE-B1", "SAE-A1", master.ids)), ErrorCode::kKeyNotFound);
  sites.feed("link-ab", 20, 4096);
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids.size(), 1u);
  EXPECT_EQ(Sites::accounted(sites.reservoir("KME-A", "KME-B")), sites.reservoir("KME-A", "KME-B").ledger.in);
}

TEST_F(TwoSites, HandExtentsOverToTheEndThatRunsLow) {
  for (std::uint8_t i = 30; i < 50; ++i) sites.feed("link-ab", i, 60'000);
  while (sites.reservoir("KME-A", "KME-B").available_own_bits > 100'000) {
    KeyRequest big = get_key("SAE-A1", "SAE-B1", 128);
    big.size_bits = 4096;
    if (std::holds_alternative<Error>(sites.ask("KME-A", big))) break;
  }
  const auto before = sites.reservoir("KME-A", "KME-B");
  sites.advance(200);
  const auto after = sites.reservoir("KME-A", "KME-B");
  EXPECT_GT(after.available_own_bits, before.available_own_bits);
  expect_accounts_balance();
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-B1", 100)).ids.size(), 100u);
}

TEST_F(TwoSites, AnswerEveryoneAndComeBackWhenACommitFails) {
  Site& a = sites.at("KME-A");
  a.store.set_fate_hook([](const Changes&) { return storage::CommitFate::kFailed; });
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A1", "SAE-B1")), ErrorCode::kClosed);
  EXPECT_EQ(a.node->state(), Node::State::kClosed);
  EXPECT_EQ(sites.refusal("KME-A", StatusRequest{sae("SAE-A1"), sae("SAE-B1")}), ErrorCode::kClosed);
  a.store.set_fate_hook({});
  sites.disconnect("KME-A", "KME-B");
  sites.advance(1100);
  EXPECT_EQ(a.node->state(), Node::State::kOpen);
  sites.connect("KME-A", "KME-B");
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids.size(), 1u);
  expect_accounts_balance();
}

TEST_F(TwoSites, DieWhenACommitIsInDoubt) {
  Site& a = sites.at("KME-A");
  a.store.set_fate_hook([](const Changes&) { return storage::CommitFate::kUnknownApplied; });
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A1", "SAE-B1")), ErrorCode::kClosed);
  EXPECT_EQ(a.node->state(), Node::State::kDead);
  a.store.set_fate_hook({});
  sites.restart("KME-A");
  sites.connect("KME-A", "KME-B");
  expect_accounts_balance();
}

TEST_F(TwoSites, BurnBitsThatCannotBeRead) {
  Site& a = sites.at("KME-A");
  sites.restart("KME-A");  // so that nothing is cached
  sites.connect("KME-A", "KME-B");
  a.store.spoil(ExtentKey{kme("KME-B"), std::uint64_t{1} << 32});
  const SaeReply reply = sites.ask("KME-A", get_key("SAE-A1", "SAE-B1"));
  EXPECT_TRUE(std::holds_alternative<Error>(reply));
  expect_accounts_balance();
  EXPECT_GT(sites.reservoir("KME-B", "KME-A").ledger.burned, 0u);
}

TEST_F(TwoSites, BurnBitsThatThePeerCannotRead) {
  Site& b = sites.at("KME-B");
  sites.feed("link-ab", 2, 4096);
  sites.restart("KME-B");  // so that nothing is cached
  sites.connect("KME-A", "KME-B");
  b.store.spoil(ExtentKey{kme("KME-A"), std::uint64_t{1} << 32});
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A1", "SAE-B1")), ErrorCode::kPeerUnreachable);
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids.size(), 1u);  // from the next extent
  expect_accounts_balance();
}

TEST(Node, RefusesTheStoreOfAnotherKme) {
  Sites sites;
  Site& a = sites.at("KME-A");
  a.close();
  const auto opened = Node::open(sites.at("KME-B").policy, a.store, a.random, sites.now);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace qkms::kms
