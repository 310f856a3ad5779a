#include "server/engine_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>

#include "server/os_random.h"
#include "server/testing/site.h"
#include "storage/memory_store.h"

namespace qkms::server {
namespace {

using kms::Node;
using storage::CommitFate;
using testing::eventually;

class RecordingOutlet final : public EngineOutlet {
 public:
  void send(kms::SendEffect) override { ++sends; }
  void close(kms::CloseEffect) override { ++closes; }
  void close_all_sessions() override { ++all_closed; }
  void notice(const kms::Notice&) override {}
  void note(kms::DriverNote) override {}
  void link_full(const kms::LinkFull&) override {}
  void state_changed(Node::State now) override { state = now; }

  std::atomic<int> sends = 0, closes = 0, all_closed = 0;
  std::atomic<Node::State> state = Node::State::kOpen;
};

class EngineThreadTest : public ::testing::Test {
 protected:
  EngineThreadTest() {
    auto policy = std::make_shared<kms::Policy>();
    policy->self = KmeId::parse("KME-A").value();
    policy->peers[peer_] = {};
    policy->homes = {{a_, policy->self}, {b_, peer_}};
    policy->allowed = {{a_, b_}};
    engine_ = std::make_unique<EngineThread>(Node::open(policy, store_, random_, 0).value(), outlet_, 4);
  }
  ~EngineThreadTest() override { engine_.reset(); }

  Result<void> ask(std::promise<kms::SaeReply>& promise) {
    return engine_->request(kms::StatusRequest{a_, b_},
                            [&promise](kms::SaeReply reply) { promise.set_value(std::move(reply)); });
  }

  const SaeId a_ = SaeId::parse("SAE-A").value(), b_ = SaeId::parse("SAE-B").value();
  const KmeId peer_ = KmeId::parse("KME-B").value();
  storage::MemoryStore store_;
  OsRandom random_;
  RecordingOutlet outlet_;
  std::unique_ptr<EngineThread> engine_;
};

TEST_F(EngineThreadTest, AnswersEachRequestOnce) {
  engine_->start();
  for (int i = 0; i < 100; ++i) {
    std::promise<kms::SaeReply> promise;
    ASSERT_TRUE(ask(promise));
    EXPECT_TRUE(std::holds_alternative<kms::StatusReply>(promise.get_future().get()));
  }
}

TEST_F(EngineThreadTest, ReportsToOperators) {
  engine_->start();
  std::promise<Result<kms::Report>> promise;
  ASSERT_TRUE(engine_->report([&](Result<kms::Report> report) { promise.set_value(std::move(report)); }));
  const auto report = promise.get_future().get();
  ASSERT_TRUE(report);
  ASSERT_EQ(report->reservoirs.size(), 1u);
  EXPECT_EQ(report->reservoirs[0].peer, peer_);
}

TEST_F(EngineThreadTest, TakesNothingAboveItsLimitAndAnswersWhatItTook) {
  std::promise<kms::SaeReply> promises[5];
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(ask(promises[i]));
  const auto refused = ask(promises[4]);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded);
  EXPECT_EQ(engine_->queue_depth(), 4u);
  EXPECT_TRUE(engine_->push(kms::PeerUp{peer_, 1})) << "sessions come and go all the same";
  engine_->start();
  for (int i = 0; i < 4; ++i) promises[i].get_future().wait();
}

TEST_F(EngineThreadTest, AnswersWhatIsQueuedWhenItStops) {
  std::promise<kms::SaeReply> promise;
  ASSERT_TRUE(ask(promise));
  engine_->start();
  engine_->stop();
  promise.get_future().wait();
  std::promise<kms::SaeReply> late;
  const auto refused = ask(late);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kClosed);
}

TEST_F(EngineThreadTest, RefusesWhileCommitsFailAndRecoversByItself) {
  std::atomic<bool> broken = true;
  store_.set_fate_hook([&](const kms::Changes&) { return broken ? CommitFate::kFailed : CommitFate::kDurable; });
  engine_->start();
  ASSERT_TRUE(engine_->push(kms::PeerUp{peer_, 1}));
  api::Hello hello;
  hello.sender = peer_;
  hello.incarnation = 7;
  ASSERT_TRUE(engine_->push(kms::PeerFrame{peer_, 1, {0, hello}}));
  ASSERT_TRUE(eventually([&] { return engine_->state() == Node::State::kClosed; }));
  EXPECT_TRUE(eventually([&] { return outlet_.all_closed > 0; }));
  EXPECT_TRUE(eventually([&] { return outlet_.state == Node::State::kClosed; }));

  // The node may come back by itself at any moment, since reading works; what matters is that it does, and serves.
  broken = false;
  ASSERT_TRUE(eventually([&] { return engine_->state() == Node::State::kOpen; }));
  std::promise<kms::SaeReply> promise;
  ASSERT_TRUE(ask(promise));
  EXPECT_TRUE(std::holds_alternative<kms::StatusReply>(promise.get_future().get()));
}

TEST_F(EngineThreadTest, DiesWhenTheOutcomeOfACommitIsUnknown) {
  store_.set_fate_hook([](const kms::Changes&) { return CommitFate::kUnknownApplied; });
  engine_->start();
  ASSERT_TRUE(engine_->push(kms::PeerUp{peer_, 1}));
  api::Hello hello;
  hello.sender = peer_;
  hello.incarnation = 7;
  ASSERT_TRUE(engine_->push(kms::PeerFrame{peer_, 1, {0, hello}}));
  ASSERT_TRUE(eventually([&] { return engine_->state() == Node::State::kDead; }));
  EXPECT_TRUE(eventually([&] { return outlet_.state == Node::State::kDead; }));
  EXPECT_TRUE(eventually([&] { return !engine_->request(kms::StatusRequest{a_, b_}, [](kms::SaeReply) {}); }));
}

// Work of between_batches() that seals, or unseals, and what state the node is in afterwards.
Node::State after(EngineThread& engine, const std::function<void(EngineThread&)>& work) {
  std::promise<Node::State> state;
  EXPECT_TRUE(engine.between_batches([&] {
    work(engine);
    state.set_value(engine.state());
  }));
  return state.get_future().get();
}

TEST_F(EngineThreadTest, TakesNoBlockWhileItIsSealedAndKeepsNone) {
  const auto seal = [](EngineThread& engine) { engine.seal({.action = api::AuditAction::kSeal}); };
  const auto unseal = [](EngineThread& engine) { ASSERT_TRUE(engine.unseal({.action = api::AuditAction::kUnseal})); };
  const auto a_block = [] { return kms::BlockArrived{LinkId::parse("link").value(), BlockId(), SecretBytes(64)}; };
  std::promise<Node::State> sealed;
  std::promise<kms::SaeReply> waiting;
  // All of it is there when the thread looks for the first time: the block and the request are behind the seal.
  ASSERT_TRUE(engine_->between_batches([&] {
    seal(*engine_);
    EXPECT_EQ(engine_->queue_depth(), 0u) << "nothing is left when it is sealed";
    sealed.set_value(engine_->state());
  }));
  ASSERT_TRUE(engine_->push(a_block()));
  ASSERT_TRUE(ask(waiting));
  engine_->start();
  EXPECT_EQ(sealed.get_future().get(), Node::State::kSealed);
  EXPECT_EQ(std::get<Error>(waiting.get_future().get()).code, ErrorCode::kSealed);
  EXPECT_EQ(outlet_.state, Node::State::kSealed);
  EXPECT_EQ(engine_->push(a_block()).error().code, ErrorCode::kSealed);

  EXPECT_EQ(after(*engine_, unseal), Node::State::kOpen);
  EXPECT_EQ(outlet_.state, Node::State::kOpen);
  EXPECT_TRUE(engine_->push(a_block()));
  std::promise<kms::SaeReply> promise;
  ASSERT_TRUE(ask(promise));
  EXPECT_TRUE(std::holds_alternative<kms::StatusReply>(promise.get_future().get()));
}

// A daemon that starts sealed does not know yet how far the time of its store has come.
TEST_F(EngineThreadTest, GoesOnFromTheTimeOfAStoreThatIsOpenedLater) {
  engine_.reset();
  constexpr Millis kFar = Millis{1} << 50;
  auto policy = std::make_shared<kms::Policy>();
  policy->self = KmeId::parse("KME-A").value();
  storage::MemoryStore old;
  {
    ASSERT_TRUE(Node::open(policy, old, random_, kFar));
  }
  engine_ = std::make_unique<EngineThread>(Node::sealed(policy, old, random_), outlet_, 4);
  engine_->start();
  const auto unseal = [](EngineThread& engine) { ASSERT_TRUE(engine.unseal({.action = api::AuditAction::kUnseal})); };
  EXPECT_EQ(after(*engine_, unseal), Node::State::kOpen);
  std::promise<Result<kms::Report>> promise;
  ASSERT_TRUE(engine_->report([&](Result<kms::Report> report) { promise.set_value(std::move(report)); }));
  EXPECT_GE(promise.get_future().get()->time, kFar);
}

}  // namespace
}  // namespace qkms::server
