// What the policy's limits and conditions do to requests, and what happens when it is replaced while the site runs.
#include "kms/policy.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "kms/node.h"
#include "kms/testing/sites.h"

namespace qkms::kms {
namespace {

using testing::kme;
using testing::link;
using testing::sae;
using testing::Sites;

KeyRequest get_key(const std::string& master, const std::string& slave, std::uint64_t number = 1) {
  return {sae(master), sae(slave), {}, number, {}};
}

KeyIdsRequest by_ids(const std::string& slave, const std::string& master, std::vector<KeyId> ids) {
  return {sae(slave), sae(master), std::move(ids)};
}

class PolicyInForce : public ::testing::Test {
 protected:
  void SetUp() override {
    sites.connect("KME-A", "KME-B");
    sites.feed("link-ab", 1, 4096);  // about 2000 bytes, 62 keys of 256 bits, for each side
  }
  std::uint32_t count_for(const std::string& master, const std::string& slave) {
    const SaeReply reply = sites.ask("KME-A", StatusRequest{sae(master), sae(slave)});
    const auto* status = std::get_if<StatusReply>(&reply);
    return status == nullptr ? 0 : status->stored_key_count;
  }
  int keys_until(ErrorCode code, const std::string& master, const std::string& slave) {
    for (int given = 0;; ++given) {
      const SaeReply reply = sites.ask("KME-A", get_key(master, slave));
      const auto* error = std::get_if<Error>(&reply);
      if (error == nullptr) continue;
      EXPECT_EQ(name_of(error->code), name_of(code));
      return given;
    }
  }
  Sites sites;
};

// --- limits

TEST_F(PolicyInForce, LimitsWhatAnSaeTakesAndCountsIt) {
  sites.change_policy("KME-A", [](Policy& policy) { policy.allowances[sae("SAE-A1")].keys_per_s = 2; });
  EXPECT_EQ(keys_until(ErrorCode::kRateLimited, "SAE-A1", "SAE-B1"), 20);
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A2", "SAE-B1")).ids.size(), 1u);
  sites.advance(1000);
  EXPECT_EQ(keys_until(ErrorCode::kRateLimited, "SAE-A1", "SAE-B1"), 2);
  sites.send("KME-A", ReportRequest{1});
  const auto& counts = sites.at("KME-A").last_report.saes;
  EXPECT_EQ(counts.at(sae("SAE-A1")).keys, 22u);
  EXPECT_EQ(counts.at(sae("SAE-A1")).limited, 2u);
  EXPECT_EQ(counts.at(sae("SAE-A2")).limited, 0u);
}

TEST_F(PolicyInForce, LimitsRequestsOfAnyKind) {
  sites.change_policy("KME-A", [](Policy& policy) { policy.allowances[sae("SAE-A1")].requests_per_s = 1; });
  for (int i = 0; i < 9; ++i) count_for("SAE-A1", "SAE-B1");
  EXPECT_EQ(sites.refusal("KME-A", by_ids("SAE-A1", "SAE-B1", {KeyId({1})})), ErrorCode::kKeyNotFound);
  EXPECT_EQ(sites.refusal("KME-A", StatusRequest{sae("SAE-A1"), sae("SAE-B1")}), ErrorCode::kRateLimited);
  EXPECT_EQ(sites.refusal("KME-A", by_ids("SAE-A1", "SAE-B1", {KeyId({1})})), ErrorCode::kRateLimited);
}

// T01: one SAE cannot drain what another one counts on.
TEST_F(PolicyInForce, KeepsAPairsReserveFromAllOthers) {
  sites.change_policy(
      "KME-A", [](Policy& policy) { policy.pair_terms[{sae("SAE-A1"), sae("SAE-B1")}].reserve_bytes = 10 * 32; });
  const std::uint32_t all = count_for("SAE-A1", "SAE-B1");
  EXPECT_EQ(count_for("SAE-A2", "SAE-B1"), all - 10);
  EXPECT_EQ(keys_until(ErrorCode::kReserved, "SAE-A2", "SAE-B1"), static_cast<int>(all) - 10);
  EXPECT_EQ(count_for("SAE-A2", "SAE-B1"), 0u);
  EXPECT_EQ(count_for("SAE-A1", "SAE-B1"), 10u);
  EXPECT_EQ(keys_until(ErrorCode::kPoolExhausted, "SAE-A1", "SAE-B1"), 10);
}

TEST_F(PolicyInForce, StatusCountsWhatTheQuotaLeaves) {
  sites.change_policy("KME-A", [](Policy& policy) { policy.allowances[sae("SAE-A1")].keys_per_day = 3; });
  EXPECT_EQ(count_for("SAE-A1", "SAE-B1"), 3u);
  EXPECT_EQ(keys_until(ErrorCode::kOverQuota, "SAE-A1", "SAE-B1"), 3);
  EXPECT_EQ(count_for("SAE-A1", "SAE-B1"), 0u);
}

TEST_F(PolicyInForce, KeepsNoReserveForMastersThatAreNotOurs) {
  const std::uint32_t before = count_for("SAE-A2", "SAE-B1");
  sites.change_policy(
      "KME-A", [](Policy& policy) { policy.pair_terms[{sae("SAE-C1"), sae("SAE-B1")}].reserve_bytes = 10 * 32; });
  EXPECT_EQ(count_for("SAE-A2", "SAE-B1"), before);
}

// --- probing

// T26: what is refused leaves at the tick, whatever the reason, and says the same where the operator wants it.
TEST_F(PolicyInForce, TellsAForeignKeyFromAnUnknownOneOnlyWhereTheStandardSaysSo) {
  const auto ids = sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids;
  const KeyIdsRequest foreign = by_ids("SAE-B2", "SAE-A1", ids);
  EXPECT_EQ(sites.refusal("KME-B", foreign), ErrorCode::kUnauthorised);
  sites.change_policy("KME-B", [](Policy& policy) { policy.foreign_key = ForeignKey::kNotFound; });
  EXPECT_EQ(sites.refusal("KME-B", foreign), ErrorCode::kKeyNotFound);
  EXPECT_EQ(sites.keys("KME-B", by_ids("SAE-B1", "SAE-A1", ids)).ids, ids);
}

TEST_F(PolicyInForce, AnswersNoMissBeforeTheTick) {
  const auto ids = sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids;
  auto& replies = sites.at("KME-B").replies;
  replies.clear();
  sites.send("KME-B", SaeEvent{901, by_ids("SAE-B2", "SAE-A1", ids)});
  sites.send("KME-B", SaeEvent{902, by_ids("SAE-B2", "SAE-A1", {KeyId({1, 2, 3})})});
  EXPECT_TRUE(replies.empty());
  sites.send("KME-B", Tick{});
  EXPECT_EQ(replies.size(), 2u);
}

// --- conditions

TEST_F(PolicyInForce, GivesOnlyKeysThatAreYoungEnough) {
  sites.advance(5000);
  KeyRequest young = get_key("SAE-A1", "SAE-B1");
  young.must.max_age_ms = 1000;
  EXPECT_EQ(sites.refusal("KME-A", young), ErrorCode::kExtensionUnmet);
  const auto before = sites.reservoir("KME-A", "KME-B").available_own_bits;
  sites.feed("link-ab", 2, 4096);
  const KeysReply reply = sites.keys("KME-A", young);
  EXPECT_EQ(sites.keys("KME-B", by_ids("SAE-B1", "SAE-A1", reply.ids)).bits.size(), 32u);
  EXPECT_GT(sites.reservoir("KME-A", "KME-B").available_own_bits, before);
  // Without the condition the oldest bits go first, so the young ones stay.
  const int rest = keys_until(ErrorCode::kPoolExhausted, "SAE-A1", "SAE-B1");
  EXPECT_GT(rest, 100);
}

TEST_F(PolicyInForce, PrefersYoungKeysWhereThereAreSome) {
  sites.advance(5000);
  KeyRequest young = get_key("SAE-A1", "SAE-B1");
  young.prefer.max_age_ms = 1000;
  EXPECT_EQ(sites.keys("KME-A", young).ids.size(), 1u);
  young.must.max_age_ms = 60'000;
  EXPECT_EQ(sites.keys("KME-A", young).ids.size(), 1u);
}

TEST_F(PolicyInForce, TakesBitsFromBeforeARestartForOld) {
  sites.restart("KME-A");
  sites.connect("KME-A", "KME-B");
  KeyRequest request = get_key("SAE-A1", "SAE-B1");
  request.must.max_age_ms = 24 * 3600 * 1000;
  EXPECT_EQ(sites.refusal("KME-A", request), ErrorCode::kExtensionUnmet);
  request.must.max_age_ms.reset();
  EXPECT_EQ(sites.keys("KME-A", request).ids.size(), 1u);
}

TEST_F(PolicyInForce, KnowsDirectRoutesFromIndirectOnes) {
  KeyRequest request = get_key("SAE-A1", "SAE-B1");
  request.must.route_type = RouteType::kDirect;
  EXPECT_EQ(sites.keys("KME-A", request).ids.size(), 1u);
  request.must.route_type = RouteType::kIndirect;
  EXPECT_EQ(sites.refusal("KME-A", request), ErrorCode::kExtensionUnmet);
  request.slave = sae("SAE-A2");
  EXPECT_EQ(sites.refusal("KME-A", request), ErrorCode::kExtensionUnmet);
  request.must.route_type = RouteType::kDirect;
  EXPECT_EQ(sites.keys("KME-A", request).ids.size(), 1u);
}

// --- another policy

TEST_F(PolicyInForce, DeniesARemovedSaeAtItsNextRequest) {
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids.size(), 1u);
  sites.change_policy("KME-A", [](Policy& policy) { policy.homes.erase(sae("SAE-A1")); });
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A1", "SAE-B1")), ErrorCode::kUnauthorised);
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A2", "SAE-B1")).ids.size(), 1u);
}

TEST_F(PolicyInForce, FinishesRequestsUnderWayWhenItIsReplaced) {
  sites.hold_frames(true);
  sites.send("KME-A", SaeEvent{900, get_key("SAE-A1", "SAE-B1")});
  sites.change_policy("KME-A", [](Policy& policy) { policy.keys.max_keys_per_request = 2; });
  sites.hold_frames(false);
  sites.deliver();
  const auto& replies = sites.at("KME-A").replies;
  const auto answered = std::ranges::find(replies, RequestToken{900}, &ReplyEffect::token);
  ASSERT_NE(answered, replies.end());
  EXPECT_TRUE(std::holds_alternative<KeysReply>(answered->reply));
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A1", "SAE-B1", 3)), ErrorCode::kInvalid);
}

TEST_F(PolicyInForce, AnswersRequestsTowardsAPeerThatGoesAndLosesNothingWhenItComesBack) {
  const auto held = sites.keys("KME-B", get_key("SAE-B1", "SAE-A1")).ids;
  const auto before = sites.reservoir("KME-A", "KME-B");
  sites.hold_frames(true);
  sites.send("KME-A", SaeEvent{900, get_key("SAE-A1", "SAE-B1")});
  Policy original = *sites.at("KME-A").policy;
  sites.change_policy("KME-A", [](Policy& policy) {
    policy.links.erase(link("link-ab"));
    policy.peers.erase(kme("KME-B"));
    std::erase_if(policy.homes, [](const auto& sae_home) { return sae_home.second == kme("KME-B"); });
  });
  const auto& replies = sites.at("KME-A").replies;
  const auto answered = std::ranges::find(replies, RequestToken{900}, &ReplyEffect::token);
  ASSERT_NE(answered, replies.end());
  EXPECT_TRUE(std::holds_alternative<Error>(answered->reply));
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A1", "SAE-B1")), ErrorCode::kInvalid);
  sites.drop_held_frames();
  sites.hold_frames(false);
  sites.disconnect("KME-A", "KME-B");

  sites.change_policy("KME-A", [&](Policy& policy) { policy = original; });
  sites.connect("KME-A", "KME-B");
  const auto after = sites.reservoir("KME-A", "KME-B");
  EXPECT_EQ(after.ledger.burned, before.ledger.burned + 256);
  EXPECT_EQ(after.available_own_bits, before.available_own_bits - 256);
  EXPECT_EQ(after.ledger.in_flight, 0u);
  EXPECT_EQ(sites.reservoir("KME-B", "KME-A").ledger.burned, after.ledger.burned);
  EXPECT_EQ(sites.keys("KME-A", by_ids("SAE-A1", "SAE-B1", held)).ids, held);
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids.size(), 1u);
}

// The peer has the block in its reservoir before the leader, which has dropped the link, hears of it.
TEST_F(PolicyInForce, SettlesTheBlocksOfALinkThatGoes) {
  const Policy original = *sites.at("KME-A").policy;
  sites.send("KME-A", BlockArrived{link("link-ab"), testing::block(2), testing::bits(2, 4096)});
  sites.hold_frames(true);
  sites.send("KME-B", BlockArrived{link("link-ab"), testing::block(2), testing::bits(2, 4096)});
  sites.change_policy("KME-A", [](Policy& policy) { policy.links.erase(link("link-ab")); });
  sites.hold_frames(false);
  sites.deliver();
  const auto ours = sites.reservoir("KME-A", "KME-B"), theirs = sites.reservoir("KME-B", "KME-A");
  EXPECT_TRUE(ours.session_up);
  EXPECT_EQ(ours.ledger.in, 2u * 4096 * 8);
  EXPECT_EQ(ours.ledger.in, theirs.ledger.in);
  EXPECT_EQ(ours.available_peer_bits, theirs.available_own_bits);
  sites.send("KME-A", BlockArrived{link("link-ab"), testing::block(3), testing::bits(3, 4096)});
  sites.change_policy("KME-A", [&](Policy& policy) { policy = original; });
  sites.send("KME-A", ReportRequest{1});
  EXPECT_EQ(sites.at("KME-A").last_report.links.front().pending_blocks, 0u);
}

TEST_F(PolicyInForce, RefusesBlocksOfALinkThatOnlyThePeerHasYet) {
  const auto pending = [&] {
    sites.send("KME-A", ReportRequest{1});
    return sites.at("KME-A").last_report.links.front().pending_blocks;
  };
  const Policy original = *sites.at("KME-B").policy;
  sites.send("KME-A", BlockArrived{link("link-ab"), testing::block(2), testing::bits(2, 4096)});
  EXPECT_EQ(pending(), 1u);
  sites.change_policy("KME-B", [](Policy& policy) { policy.links.erase(link("link-ab")); });
  EXPECT_EQ(pending(), 0u);
  sites.send("KME-A", BlockArrived{link("link-ab"), testing::block(3), testing::bits(3, 4096)});
  EXPECT_EQ(pending(), 0u);
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids.size(), 1u);
  sites.change_policy("KME-B", [&](Policy& policy) { policy = original; });
  sites.feed("link-ab", 4, 4096);
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").ledger.in, 2u * 4096 * 8);
  EXPECT_EQ(sites.reservoir("KME-B", "KME-A").ledger.in, 2u * 4096 * 8);
}

// It refused the block for want of the link, and has both before the leader hears of that.
TEST_F(PolicyInForce, StandsByARefusalThatIsUnderWayWhenTheLinkIsBack) {
  const Policy original = *sites.at("KME-B").policy;
  sites.change_policy("KME-B", [](Policy& policy) { policy.links.erase(link("link-ab")); });
  sites.hold_frames(true);
  sites.send("KME-A", BlockArrived{link("link-ab"), testing::block(2), testing::bits(2, 4096)});
  sites.deliver_to("KME-B");
  sites.drop_held_frames();
  sites.hold_frames(false);
  sites.disconnect("KME-A", "KME-B");
  sites.change_policy("KME-B", [&](Policy& policy) { policy = original; });
  sites.send("KME-B", BlockArrived{link("link-ab"), testing::block(2), testing::bits(2, 4096)});
  sites.connect("KME-A", "KME-B");
  EXPECT_TRUE(sites.reservoir("KME-A", "KME-B").session_up);
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").ledger.in, 4096u * 8);
  EXPECT_EQ(sites.reservoir("KME-B", "KME-A").ledger.in, 4096u * 8);
  EXPECT_EQ(sites.at("KME-A").last_report.links.front().pending_blocks, 0u);
}

// Less room than before: offers whose other halves never came make way, or the leader's room would stay full.
TEST_F(PolicyInForce, GivesUpOffersThatNoLongerFitItsLimits) {
  const auto change = [&](const char* site, std::uint64_t most) {
    sites.change_policy(site, [most](Policy& policy) { policy.links.at(link("link-ab")).max_pending_bytes = most; });
  };
  for (std::uint8_t number = 10; number < 18; ++number)
    sites.send("KME-A", BlockArrived{link("link-ab"), testing::block(number), testing::bits(number, 4096)});
  change("KME-A", 3 * 4096);
  change("KME-B", 3 * 4096);
  sites.advance(2000);
  sites.feed("link-ab", 2, 4096);
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").ledger.in, 2u * 4096 * 8);
}

TEST_F(PolicyInForce, KeepsTheAccountsOfAPeerThatIsGone) {
  Policy original = *sites.at("KME-A").policy;
  original.keys.key_life_ms = 10'000;
  sites.change_policy("KME-B", [](Policy& policy) { policy.keys.key_life_ms = 10'000; });
  sites.keys("KME-B", get_key("SAE-B1", "SAE-A1"));  // held at A, and never fetched
  sites.change_policy("KME-A", [](Policy& policy) {
    policy.links.erase(link("link-ab"));
    policy.peers.erase(kme("KME-B"));
  });
  sites.disconnect("KME-A", "KME-B");
  sites.at("KME-A").policy = std::make_shared<Policy>(*sites.at("KME-A").policy);
  sites.restart("KME-A");
  sites.advance(12'000);
  sites.change_policy("KME-A", [&](Policy& policy) { policy = original; });
  sites.connect("KME-A", "KME-B");
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").ledger.held, 0u);
  EXPECT_EQ(sites.reservoir("KME-A", "KME-B").ledger.expired, 256u);
}

TEST_F(PolicyInForce, TakesAPeerBackThatWasGoneOverARestart) {
  sites.hold_frames(true);
  sites.send("KME-A", SaeEvent{900, get_key("SAE-A1", "SAE-B1")});  // unanswered when it crashes
  sites.drop_held_frames();
  sites.hold_frames(false);
  Policy original = *sites.at("KME-A").policy;
  auto& policy = *sites.at("KME-A").policy;
  policy.links.erase(link("link-ab"));
  policy.peers.erase(kme("KME-B"));
  sites.restart("KME-A");
  sites.change_policy("KME-A", [&](Policy& changed) { changed = original; });
  sites.connect("KME-A", "KME-B");
  const auto ours = sites.reservoir("KME-A", "KME-B");
  EXPECT_EQ(ours.ledger.in_flight, 0u);
  EXPECT_EQ(ours.ledger.burned, 256u);
  EXPECT_EQ(sites.reservoir("KME-B", "KME-A").ledger.burned, 256u);
  sites.feed("link-ab", 9, 1024);
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids.size(), 1u);
}

}  // namespace
}  // namespace qkms::kms
