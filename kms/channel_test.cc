#include "kms/channel.h"

#include <gtest/gtest.h>

namespace qkms::kms {
namespace {

struct HelloPair {
  api::Hello a, b;
};

// Two ends that have talked: a sent 10 and knows of 7, b has handled 8; b sent 5, all known.
HelloPair agreeing() {
  HelloPair pair;
  pair.a.incarnation = pair.b.peer_incarnation = 100;
  pair.b.incarnation = pair.a.peer_incarnation = 200;
  pair.a.pair_epoch = pair.b.pair_epoch = 3;
  pair.a.sent = 10, pair.a.acknowledged = 7, pair.b.received = 8;
  pair.b.sent = 5, pair.b.acknowledged = 5, pair.a.received = 5;
  return pair;
}

struct HistoryCase {
  const char* name;
  bool agrees;
  void (*change)(HelloPair&);
};

TEST(PairAgrees, OnlyWhenNeitherHasForgottenWhatTheOtherRemembers) {
  const HistoryCase cases[] = {
      {"as it should be", true, [](HelloPair&) {}},
      {"everything arrived", true, [](HelloPair& p) { p.b.received = 10; }},
      {"they never met", false, [](HelloPair& p) { p = {}; }},
      {"b has a new store", false, [](HelloPair& p) { p.b.incarnation = 201; }},
      {"b has forgotten a", false, [](HelloPair& p) { p.b.peer_incarnation = 0; }},
      {"one has started afresh", false, [](HelloPair& p) { p.a.pair_epoch = 4; }},
      {"a was rolled back: b has handled more than it sent", false, [](HelloPair& p) { p.b.received = 11; }},
      {"b was rolled back: it has handled less than it confirmed", false, [](HelloPair& p) { p.b.received = 6; }},
      {"a was rolled back: it has handled less than it confirmed", false, [](HelloPair& p) { p.a.received = 4; }},
      {"b was rolled back: a has handled more than it sent", false, [](HelloPair& p) { p.a.received = 6; }},
  };
  for (const HistoryCase& c : cases) {
    HelloPair pair = agreeing();
    c.change(pair);
    EXPECT_EQ(pair_agrees(pair.a, pair.b), c.agrees) << c.name;
    EXPECT_EQ(pair_agrees(pair.b, pair.a), c.agrees) << c.name << ", seen from the other end";
  }
}

struct OutboxCase {
  const char* name;
  std::vector<std::uint64_t> sequences;
  bool whole;
};

TEST(Channel, KnowsWhenTheStoreHasLostAMessage) {
  const Life life(NodeRow{});
  PeerRow row;
  row.peer = *KmeId::parse("B");
  row.acknowledged = 4;
  row.sent = 7;
  const OutboxCase cases[] = {
      {"all there", {5, 6, 7}, true},       {"the first is missing", {6, 7}, false},
      {"one in the middle", {5, 7}, false}, {"the last is missing", {5, 6}, false},
      {"all are missing", {}, false},
  };
  for (const OutboxCase& c : cases) {
    std::vector<OutboxRow> outbox;
    for (std::uint64_t sequence : c.sequences) outbox.push_back({row.peer, sequence, api::Void{1}});
    EXPECT_EQ(Channel(life, row, outbox).outbox_is_whole(), c.whole) << c.name;
  }
}

}  // namespace
}  // namespace qkms::kms
