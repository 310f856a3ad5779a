// Two KMEs that know different things about what they share: found, confined to the pair, burned at both ends, and
// reported at both with one reason (threat T29: the peer may be wrong, or lie).
#include "kms/divergence.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "kms/channel.h"
#include "kms/fresh_starts.h"
#include "kms/testing/sites.h"

namespace qkms::kms {
namespace {

using testing::block;
using testing::kme;
using testing::link;
using testing::sae;
using testing::Sites;

KeyRequest get_key(const std::string& master, const std::string& slave, std::uint64_t number = 1) {
  return {sae(master), sae(slave), {}, number, {}};
}

// --- what two Hellos show
// -------------------------------------------------------------------------------------------------------------

struct HelloPair {
  api::Hello mine, theirs;
};

HelloPair agreeing() {
  HelloPair pair;
  pair.mine.sender = kme("KME-A");
  pair.theirs.sender = kme("KME-B");
  pair.mine.incarnation = pair.theirs.peer_incarnation = 100;
  pair.theirs.incarnation = pair.mine.peer_incarnation = 200;
  pair.mine.pair_epoch = pair.theirs.pair_epoch = 3;
  pair.mine.sent = pair.mine.acknowledged = pair.theirs.received = 10;
  pair.theirs.sent = pair.theirs.acknowledged = pair.mine.received = 5;
  return pair;
}

struct FindingCase {
  const char* name;
  Divergence mine, theirs;  // as each end sees it
  void (*change)(HelloPair&);
};

TEST(Divergences, AreNamedFromWhatTwoHellosSay) {
  using enum Divergence;
  const FindingCase cases[] = {
      {"they have a new store", kPeerStoreLost, kOwnStoreLost,
       [](HelloPair& p) {
         const KmeId sender = p.theirs.sender;
         p.theirs = {};
         p.theirs.sender = sender;
         p.theirs.incarnation = 201;
       }},
      {"their store was put back", kPeerStorePutBack, kOwnStorePutBack,
       [](HelloPair& p) { p.theirs.incarnation = 201; }},
      {"they know less than they confirmed", kPeerForgot, kOwnForgot, [](HelloPair& p) { p.theirs.received = 9; }},
      {"they know less than they sent", kPeerForgot, kOwnForgot,
       [](HelloPair& p) { p.theirs.sent = p.theirs.acknowledged = 4; }},
      {"they began an epoch alone", kAgreementLost, kAgreementLost, [](HelloPair& p) { p.theirs.pair_epoch = 4; }},
      {"they gave the pair up, and were restarted", kAgreementLost, kAgreementLost,
       [](HelloPair& p) { p.theirs.peer_incarnation = 0; }},
  };
  for (const FindingCase& c : cases) {
    HelloPair pair = agreeing();
    c.change(pair);
    EXPECT_FALSE(pair_agrees(pair.mine, pair.theirs)) << c.name;
    EXPECT_EQ(name_of(find_divergence(pair.mine, pair.theirs).kind), name_of(c.mine)) << c.name;
    EXPECT_EQ(name_of(find_divergence(pair.theirs, pair.mine).kind), name_of(c.theirs)) << c.name;
    EXPECT_FALSE(find_divergence(pair.mine, pair.theirs).text.empty()) << c.name;
  }
}

TEST(Divergences, AreWhatTheOtherEndSaysThatItFound) {
  for (std::size_t i = 0; i < kDivergences; ++i) {
    const auto kind = static_cast<Divergence>(i);
    if (doubt_of(kind) == api::Doubt::kNone) continue;
    HelloPair pair = agreeing();
    pair.theirs.peer_incarnation = 0;
    pair.theirs.doubt = doubt_of(kind);
    const Divergence heard = find_divergence(pair.mine, pair.theirs).kind;
    EXPECT_EQ(heard, kind == Divergence::kOwnRowsMissing ? Divergence::kPeerRowsMissing : kind) << name_of(kind);
  }
}

TEST(FreshStarts, AreLimitedWithinAnHour) {
  FreshStarts starts;
  for (std::size_t i = 0; i < FreshStarts::kMost; ++i) {
    EXPECT_TRUE(starts.may_burn(static_cast<Millis>(i)));
    starts.burned(static_cast<Millis>(i));
  }
  EXPECT_FALSE(starts.may_burn(FreshStarts::kWindowMs - 1));
  EXPECT_TRUE(starts.may_burn(FreshStarts::kWindowMs)) << "the first one is an hour ago";
}

// --- two KMEs
// -------------------------------------------------------------------------------------------------------------

class Diverging : public ::testing::Test {
 protected:
  Diverging() {
    for (const char* other : {"KME-B", "KME-C"}) sites.connect("KME-A", other);
    for (std::uint8_t i = 1; i < 5; ++i) sites.feed("link-ab", i, 4096);
    sites.feed("link-ac", 10, 4096);
    sites.advance(100);
  }

  std::string text_of(const std::string& site, NoticeKind kind) {
    std::string all;
    for (const Notice& notice : sites.at(site).notices) {
      if (notice.kind == kind) all += notice.subject + ": " + notice.text + "\n";
    }
    return all;
  }
  std::string audited(const std::string& site) {
    std::string all;
    for (const api::AuditRecord& record : sites.at(site).store.audit_log()) {
      if (record.action == api::AuditAction::kPairAfresh) all += record.subject + ": " + record.reason + "\n";
    }
    return all;
  }
  std::uint64_t counted(const std::string& site, const std::string& peer, Divergence kind) {
    return sites.reservoir(site, peer).divergences[static_cast<std::size_t>(kind)];
  }
  std::uint64_t available(const std::string& site, const std::string& peer) {
    const auto report = sites.reservoir(site, peer);
    return report.available_own_bits + report.available_peer_bits;
  }
  // Each end says the same in the log, in the audit log and in the report that metrics are made of.
  void expect_reported(const std::string& site, const std::string& peer, Divergence kind, const std::string& text) {
    for (const std::string& log : {text_of(site, NoticeKind::kPairReset), audited(site)}) {
      EXPECT_NE(log.find(fmt::format("{}: {}: ", peer, name_of(kind))), std::string::npos) << site << ": " << log;
      EXPECT_NE(log.find(text), std::string::npos) << site << ": " << log;
    }
    EXPECT_EQ(counted(site, peer, kind), 1u) << site;
  }
  // Nothing of it is left, the other pair has not noticed, and the two go on.
  void expect_clean_and_confined(std::uint64_t others_before) {
    EXPECT_EQ(available("KME-A", "KME-B"), 0u);
    EXPECT_EQ(available("KME-B", "KME-A"), 0u);
    EXPECT_EQ(available("KME-A", "KME-C"), others_before);
    EXPECT_TRUE(sites.reservoir("KME-A", "KME-C").session_up);
    sites.feed("link-ab", 100, 4096);
    EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-B1")).ids.size(), 1u);
    EXPECT_EQ(available("KME-A", "KME-B"), available("KME-B", "KME-A"));
    for (const auto& [here, there] : {std::pair{"KME-A", "KME-B"}, std::pair{"KME-B", "KME-A"}}) {
      const auto report = sites.reservoir(here, there);
      EXPECT_EQ(Sites::accounted(report), report.ledger.in) << here;
    }
  }

  // A row is gone, and the ledger says that this is as it should be: nothing at KME-B can notice.
  void lose_an_extent_without_a_trace_at_b() {
    sites.disconnect("KME-A", "KME-B");
    testing::Site& b = sites.at("KME-B");
    const Snapshot before = *b.store.load_all();
    const auto extent = std::ranges::find(before.extents, kme("KME-A"), &ExtentRow::peer);
    ASSERT_NE(extent, before.extents.end());
    PeerRow row = *std::ranges::find(before.peers, kme("KME-A"), &PeerRow::peer);
    row.ledger.burned += std::uint64_t{extent->size - extent->front} * 8;
    Changes changes;
    changes.dropped_extents.push_back({kme("KME-A"), extent->id});
    changes.put_peers.push_back(row);
    b.close();
    ASSERT_EQ(b.store.commit(std::move(changes)), CommitOutcome::kDurable);
    b.open(sites.now);
  }

  Sites sites;
};

TEST_F(Diverging, IsFoundAtReconnectByComparingAccounts) {
  lose_an_extent_without_a_trace_at_b();
  const auto others = available("KME-A", "KME-C");
  sites.connect("KME-A", "KME-B");
  EXPECT_NE(text_of("KME-A", NoticeKind::kLinkDivergence).find("130 048 bits available in 8 extents, KME-B says "),
            std::string::npos)
      << text_of("KME-A", NoticeKind::kLinkDivergence);
  sites.connect("KME-A", "KME-B");
  expect_reported("KME-A", "KME-B", Divergence::kAccountsDiffer, "all 130048 bits that were available are burned");
  expect_reported("KME-B", "KME-A", Divergence::kAccountsDiffer, "KME-A says that its accounts and ours differ");
  expect_clean_and_confined(others);
}

TEST_F(Diverging, IsFoundByTheOtherEndJustAsWell) {
  lose_an_extent_without_a_trace_at_b();
  sites.hold_frames(true);
  sites.connect("KME-A", "KME-B");
  sites.deliver_to("KME-A");
  sites.deliver_to("KME-B");
  sites.hold_frames(false);
  EXPECT_EQ(text_of("KME-A", NoticeKind::kLinkDivergence), "");
  EXPECT_NE(text_of("KME-B", NoticeKind::kLinkDivergence).find(" in 7 extents, KME-A says 130 048 in 8"),
            std::string::npos)
      << text_of("KME-B", NoticeKind::kLinkDivergence);
  sites.connect("KME-A", "KME-B");
  expect_reported("KME-A", "KME-B", Divergence::kAccountsDiffer, "KME-B says that its accounts and ours differ");
}

TEST_F(Diverging, IsFoundByComparingAgainWhenSomethingHasHappened) {
  const auto found = [&] { return !text_of("KME-A", NoticeKind::kLinkDivergence).empty(); };
  lose_an_extent_without_a_trace_at_b();
  sites.drop_accounts(true);  // of the first comparison
  sites.connect("KME-A", "KME-B");
  sites.drop_accounts(false);
  EXPECT_FALSE(found());
  sites.advance(sites.at("KME-A").policy->timing.compare_ms);
  EXPECT_FALSE(found()) << "nothing has happened since";
  sites.feed("link-ab", 50, 4096);
  sites.advance(sites.at("KME-A").policy->timing.compare_ms);
  EXPECT_TRUE(found());
}

TEST_F(Diverging, IsNoneWhileAnythingIsUnderWay) {
  const Millis every = sites.at("KME-A").policy->timing.compare_ms;
  for (int step = 0; step < 40; ++step) {
    sites.hold_frames(true);
    if (step % 3 == 0) sites.ask("KME-A", get_key("SAE-A1", "SAE-B1"));
    if (step % 3 == 1) sites.ask("KME-B", get_key("SAE-B1", "SAE-A1"));
    if (step % 4 == 0) sites.feed("link-ab", static_cast<std::uint8_t>(100 + step), 1024);
    sites.advance(every / 3);
    sites.deliver_to(step % 2 == 0 ? "KME-A" : "KME-B");
    sites.hold_frames(false);
    sites.deliver();
    if (!sites.reservoir("KME-A", "KME-B").session_up) sites.connect("KME-A", "KME-B");
  }
  EXPECT_GT(sites.reservoir("KME-A", "KME-B").comparisons, 5u);
  for (const char* site : {"KME-A", "KME-B"}) EXPECT_EQ(text_of(site, NoticeKind::kLinkDivergence), "") << site;
}

TEST_F(Diverging, IsNotLookedForWithPeersThatTellNoAccounts) {
  lose_an_extent_without_a_trace_at_b();
  sites.drop_accounts(true);
  sites.connect("KME-A", "KME-B");
  sites.advance(3 * sites.at("KME-A").policy->timing.compare_ms);
  EXPECT_EQ(text_of("KME-A", NoticeKind::kLinkDivergence), "");
  EXPECT_TRUE(sites.reservoir("KME-A", "KME-B").session_up);
}

TEST_F(Diverging, IsCleanedThoughBothEndsHaveGivenUpAndForgottenWhy) {
  lose_an_extent_without_a_trace_at_b();
  sites.connect("KME-A", "KME-B");  // both have found it
  for (const char* site : {"KME-A", "KME-B"}) sites.restart(site);
  sites.connect("KME-A", "KME-C");
  const auto others = available("KME-A", "KME-C");
  sites.connect("KME-A", "KME-B");
  for (const auto& [here, there] : {std::pair{"KME-A", "KME-B"}, std::pair{"KME-B", "KME-A"}})
    expect_reported(here, there, Divergence::kAgreementLost, "pair epoch 2");
  expect_clean_and_confined(others);
}

TEST_F(Diverging, SaysThatAStoreWasLost) {
  sites.disconnect("KME-A", "KME-B");
  const auto others = available("KME-A", "KME-C");
  testing::Site& b = sites.at("KME-B");
  b.close();
  b.store = storage::MemoryStore();
  b.open(sites.now);
  sites.connect("KME-A", "KME-B");
  expect_reported("KME-A", "KME-B", Divergence::kPeerStoreLost, "the store of KME-B is new");
  expect_reported("KME-B", "KME-A", Divergence::kOwnStoreLost, "our store is new, and KME-A remembers an earlier one");
  expect_clean_and_confined(others);
}

TEST_F(Diverging, SaysThatAStoreWasPutBack) {
  const auto others = available("KME-A", "KME-C");
  sites.at("KME-B").store.take_copy();
  sites.put_back("KME-B", storage::MemoryStore::Declared::kYes);
  sites.connect("KME-A", "KME-B");
  expect_reported("KME-A", "KME-B", Divergence::kPeerStorePutBack, "the store of KME-B was put back");
  expect_reported("KME-B", "KME-A", Divergence::kOwnStorePutBack, "our store was put back");
  expect_clean_and_confined(others);
}

// --- a peer that lies
// -------------------------------------------------------------------------------------------------------------

// KME-B is a script that says what it likes. KME-A leads their link.
class AByzantinePeer : public Diverging {
 protected:
  AByzantinePeer() {
    sites.disconnect("KME-A", "KME-B");
    sites.at("KME-B").close();
    others = available("KME-A", "KME-C");
  }
  const PeerRow& row() { return sites.at("KME-A").store.peers().at(kme("KME-B")); }
  // One with which KME-A agrees.
  api::Hello hello() {
    api::Hello hello;
    hello.sender = kme("KME-B");
    hello.incarnation = row().peer_incarnation == 0 ? 77 : row().peer_incarnation;
    hello.peer_incarnation = sites.at("KME-A").store.node().incarnation;
    hello.pair_epoch = row().pair_epoch;
    hello.sent = hello.acknowledged = row().received;
    hello.received = row().sent;
    hello.id_key = row().peer_id_key;
    return hello;
  }
  void say(api::Frame frame) { sites.send("KME-A", PeerFrame{kme("KME-B"), session, std::move(frame)}); }
  void say(api::Message message) { say({row().sent, api::Numbered{row().received + 1, std::move(message)}}); }
  void meet(const api::Hello& hello) {
    sites.send("KME-A", PeerUp{kme("KME-B"), ++session});
    say({0, hello});
  }
  void fill(std::uint8_t number) {
    sites.send("KME-A", BlockArrived{link("link-ab"), block(number), testing::bits(number, 4096)});
    say(api::BlockAccept{link("link-ab"), block(number), row().next_extent, 2048});
  }
  bool in_session() { return sites.reservoir("KME-A", "KME-B").session_up; }
  std::uint64_t burned() { return sites.reservoir("KME-A", "KME-B").ledger.burned; }
  api::Assign assign(std::uint64_t record, Range range) {
    return {record, sae("SAE-B1"), {sae("SAE-A1")}, 1, range.size, 60'000, {range}, {}};
  }
  // The first extent of the peer's, as KME-A has it.
  ExtentRow first_of_peers() {
    const Snapshot stored = *sites.at("KME-A").store.load_all();
    for (const ExtentRow& extent : stored.extents) {
      if (extent.peer == kme("KME-B") && extent.owner == Owner::kPeer) return extent;
    }
    return {};
  }

  SessionId session = 1000;
  std::uint64_t others = 0;
};

TEST_F(AByzantinePeer, IsFoundAndBurnsOnlyWhatItShares) {
  using enum Divergence;
  const std::uint64_t high = ~0ULL;
  const std::vector<std::pair<Divergence, std::function<void()>>> lies = {
      {kRangeNotAtFront, [&] { say(assign(1, {first_of_peers().id, first_of_peers().front + 1, 16})); }},
      {kRangeNotAtFront, [&] { say(assign(1, {high, 0, 16})); }},
      {kRangeNotAtFront, [&] { say(api::Burn{{{first_of_peers().id, 0, 0x7fffffff}}}); }},
      {kExtentDisputed, [&] { say(api::ExtentGive{{high}}); }},
      {kExtentDisputed, [&] { say(api::ExtentGive{{first_of_peers().id, first_of_peers().id}}); }},
      {kBlockUnknown, [&] { say(api::BlockAccept{link("link-ab"), block(200), 1ULL << 40, 16}); }},
      {kBlockUnknown, [&] { say(api::BlockReject{link("link-ab"), block(200), api::BlockRejectReason::kMismatch}); }},
      {kExtentDisputed,
       [&] {
         sites.send("KME-A", BlockArrived{link("link-ab"), block(201), testing::bits(201, 4096)});
         say(api::BlockAccept{link("link-ab"), block(201), high, 16});
       }},
      {kAccountsDiffer,
       [&] {
         api::Accounts accounts{.sent = row().received, .own = {1, 8}, .peer = {1, 8}};
         say({row().sent, api::Heartbeat{accounts}});
       }},
  };
  std::uint8_t number = 100;
  for (const auto& [kind, tell] : lies) {
    sites.now += FreshStarts::kWindowMs;
    meet(hello());
    fill(number++);
    ASSERT_TRUE(in_session()) << name_of(kind);
    ASSERT_GT(available("KME-A", "KME-B"), 0u);
    tell();
    EXPECT_FALSE(in_session()) << name_of(kind);
    const auto before = counted("KME-A", "KME-B", kind);
    meet(hello());
    EXPECT_EQ(counted("KME-A", "KME-B", kind), before + 1) << text_of("KME-A", NoticeKind::kPairReset);
    EXPECT_EQ(available("KME-A", "KME-B"), 0u);
    EXPECT_EQ(available("KME-A", "KME-C"), others) << name_of(kind);
  }
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-C1")).ids.size(), 1u);
}

TEST_F(AByzantinePeer, CannotMakeUsBurnWithoutEnd) {
  std::uint8_t number = 100;
  for (int i = 0; i < 30; ++i) {
    api::Hello other = hello();
    other.incarnation += static_cast<std::uint64_t>(i) + 1;  // a new store, again and again
    meet(other);
    if (in_session()) fill(number++);
  }
  const auto resets = counted("KME-A", "KME-B", Divergence::kPeerStorePutBack);
  EXPECT_LE(resets, FreshStarts::kMost + 1) << "one of them found nothing to burn";
  EXPECT_GE(resets, FreshStarts::kMost);
  EXPECT_FALSE(in_session());
  EXPECT_NE(text_of("KME-A", NoticeKind::kLinkDivergence).find("burn too often"), std::string::npos);
  EXPECT_GT(available("KME-A", "KME-B"), 0u) << "what came last is kept";
  EXPECT_EQ(sites.refusal("KME-A", get_key("SAE-A1", "SAE-B1")), ErrorCode::kPeerUnreachable);
  EXPECT_EQ(sites.keys("KME-A", get_key("SAE-A1", "SAE-C1")).ids.size(), 1u);
  sites.now += FreshStarts::kWindowMs;
  meet(hello());
  EXPECT_TRUE(in_session());
}

TEST_F(AByzantinePeer, CannotExhaustEpochs) {
  api::Hello future = hello();
  future.pair_epoch = api::kMaxPairEpoch;
  meet(future);
  EXPECT_FALSE(in_session());
  EXPECT_LT(row().pair_epoch, 10u);
  meet(hello());
  EXPECT_TRUE(in_session());
}

TEST_F(AByzantinePeer, GainsNothingByAccountsOfAnotherMoment) {
  meet(hello());
  fill(100);
  const auto before = available("KME-A", "KME-B");
  api::Accounts wrong;
  wrong.own = {1, 8};
  for (const std::uint64_t off : {1ull, 2ull, 1000ull}) {
    wrong.sent = row().received + off;
    say({row().sent, api::Heartbeat{wrong}});
    wrong.sent = row().received;
    if (row().sent >= off) say({row().sent - off, api::Heartbeat{wrong}});
  }
  EXPECT_TRUE(in_session());
  EXPECT_EQ(available("KME-A", "KME-B"), before);
}

}  // namespace
}  // namespace qkms::kms
