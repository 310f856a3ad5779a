// Marks: what a peer gives back, and what that proves.
#include "kms/life.h"

#include <gtest/gtest.h>

#include "kms/key_id.h"
#include "kms/testing/sites.h"

namespace qkms::kms {
namespace {

using testing::kme;
using testing::SeededRandom;
using Verdict = Life::Verdict;

// A store with one peer, KME-B, and what that peer remembers. Copies are what an operator could make of the file.
struct Store {
  NodeRow node;
  PeerRow peer;

  Store copy() const { return {copy_of(node), peer}; }
};

class Lives : public ::testing::Test {
 protected:
  Lives() {
    store_.node = new_node(kme("KME-A"), random_, 0);
    store_.peer.peer = kme("KME-B");
    start();
  }
  void start() {
    std::vector<PeerRow> peers{store_.peer};
    begin_life(store_.node, peers, random_);
    store_.peer = peers.front();
  }
  Verdict judge(const api::Mark& mark) const { return Life(copy_of(store_.node)).judge(mark, store_.peer); }
  // A session whose Hello gave nothing away; then so much is given out and told.
  void meet(int gives_out) {
    ASSERT_EQ(judge(heard_), Verdict::kKnown);
    Life life(copy_of(store_.node));
    store_.peer.told = life.told_now();
    for (int i = 0; i < gives_out; ++i) life.gives_out();
    store_.node = copy_of(life.node());
    heard_ = life.mark_for(kme("KME-B"));
  }
  void start_over(std::uint64_t heard) {
    Life life(copy_of(store_.node));
    life.start_over(heard, random_);
    store_.node = copy_of(life.node());
  }

  SeededRandom random_{1};
  Store store_;
  api::Mark heard_;
};

TEST_F(Lives, KnowWhatTheyToldInThisOneAndInThoseBefore) {
  EXPECT_EQ(judge({}), Verdict::kKnown);
  meet(3);
  EXPECT_EQ(judge(heard_), Verdict::kKnown);
  for (int i = 0; i < 100; ++i) {
    start();
    EXPECT_EQ(judge(heard_), Verdict::kKnown) << "after " << i << " lives that told this peer nothing";
  }
  const api::Mark old = heard_;
  meet(0);
  EXPECT_EQ(judge(old), Verdict::kKnown) << "the peer may not have stored the later mark";
  start();
  EXPECT_EQ(judge(old), Verdict::kKnown);
  EXPECT_EQ(judge(heard_), Verdict::kKnown);
}

TEST_F(Lives, FindOutThatTheyWerePutBackWithinOne) {
  meet(1);
  const Store copy = store_.copy();
  meet(1);  // in the same life
  store_ = copy.copy();
  EXPECT_EQ(judge(heard_), Verdict::kPutBack) << "a machine that was put back with its memory";
  start();
  EXPECT_EQ(judge(heard_), Verdict::kPutBack);
  for (int i = 0; i < 5; ++i) store_.node.progress++;
  EXPECT_EQ(judge(heard_), Verdict::kPutBack) << "although this life has come as far";
}

TEST_F(Lives, FindOutThatTheyWerePutBackByWholeLives) {
  meet(1);
  const Store copy = store_.copy();
  start();
  meet(0);
  store_ = copy.copy();
  start();
  EXPECT_EQ(judge(heard_), Verdict::kPutBack) << "an ordinal that comes twice, under another random number";
  start();
  start();
  EXPECT_EQ(judge(heard_), Verdict::kPutBack) << "an ordinal that was passed without a word to this peer";
}

TEST_F(Lives, TakeNoNoticeOfAPeerThatWasPutBackItself) {
  meet(1);
  const api::Mark old = heard_;
  for (int i = 0; i < 3; ++i) {
    start();
    meet(2);
  }
  EXPECT_EQ(judge(old), Verdict::kKnown);
  EXPECT_EQ(judge({}), Verdict::kKnown);
}

TEST_F(Lives, TakeNoNoticeOfWhatWasBeforeAPutBackThatIsKnown) {
  meet(1);
  const Store copy = store_.copy();
  start();
  meet(4);
  store_ = copy.copy();
  start();
  ASSERT_EQ(judge(heard_), Verdict::kPutBack);
  start_over(heard_.ordinal);
  EXPECT_EQ(judge(heard_), Verdict::kKnown);
  meet(1);
  const Store second_copy = store_.copy();
  meet(1);
  store_ = second_copy.copy();
  EXPECT_EQ(judge(heard_), Verdict::kPutBack) << "a second time";
  store_ = copy.copy();
  start();
  EXPECT_EQ(judge(heard_), Verdict::kPutBack) << "to before the first";
}

TEST_F(Lives, BelieveNoMarkThatIsNotTheirs) {
  meet(1);
  const Store before = store_.copy();
  const auto forged = [this](auto change) {
    api::Mark mark = heard_;
    change(mark);
    return judge(mark);
  };
  EXPECT_EQ(forged([](api::Mark& m) { m.progress += 1; }), Verdict::kForged);
  EXPECT_EQ(forged([](api::Mark& m) { m.ordinal += 1; }), Verdict::kForged);
  EXPECT_EQ(forged([](api::Mark& m) { m.life += 1; }), Verdict::kForged);
  EXPECT_EQ(forged([](api::Mark& m) { m.proof[15] ^= 1; }), Verdict::kForged);
  EXPECT_EQ(judge(Life(copy_of(store_.node)).mark_for(kme("KME-C"))), Verdict::kForged) << "another peer's";
  // Peers know the ID key. It must not make marks.
  store_.node.mark_key = SecretBytes::copy_of(store_.node.id_key.reveal());
  EXPECT_EQ(judge(heard_), Verdict::kForged);
}

TEST_F(Lives, NeverNumberTheirRecordsLikeTheOneBefore) {
  const Store copy = store_.copy();
  start();
  const std::uint64_t first = store_.node.record_limit;
  store_ = copy.copy();
  start();
  EXPECT_GT(first, copy.node.record_limit);
  EXPECT_GT(store_.node.record_limit, copy.node.record_limit);
  EXPECT_NE(store_.node.record_limit, first);
  for (int i = 0; i < 100; ++i) start();
  store_.node.record_limit = kMaxRecord / 2;
  start();
  EXPECT_EQ(store_.node.record_limit, kMaxRecord / 2) << "there must always be numbers left";
}

TEST_F(Lives, BeginInAStoreOfATimeBeforeThem) {
  store_.node.mark_key = {};
  store_.node.ordinal = store_.node.life = store_.node.progress = 0;
  start();
  EXPECT_EQ(store_.node.mark_key.size(), kMarkKeyBytes);
  EXPECT_EQ(store_.node.ordinal, 1u);
  meet(1);
  EXPECT_EQ(judge(heard_), Verdict::kKnown);
}

}  // namespace
}  // namespace qkms::kms
