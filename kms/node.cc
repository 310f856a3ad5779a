#include "kms/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

#include "kms/engine.h"
#include "kms/planted_bug.h"

namespace qkms::kms {
namespace {

constexpr Millis kReopenEveryMs = 1000;

Error closed_error() { return {ErrorCode::kClosed, "the key store is not available"}; }

}  // namespace

Node::Node(std::shared_ptr<const Policy> policy, Store& store, Random& random)
    : policy_(std::move(policy)), store_(store), random_(random) {}
Node::~Node() = default;

Result<std::unique_ptr<Node>> Node::open(std::shared_ptr<const Policy> policy, Store& store, Random& random,
                                         Millis now) {
  std::unique_ptr<Node> node(new Node(std::move(policy), store, random));
  if (auto rebuilt = node->rebuild(now); !rebuilt) return std::unexpected(rebuilt.error());
  return node;
}

Result<void> Node::rebuild(Millis now) {
  auto snapshot = store_.load_all();
  if (!snapshot) return std::unexpected(snapshot.error());
  Batch batch;
  NodeRow& node = snapshot->node;
  const bool is_new = node.self.empty();
  if (is_new) node = new_node(policy_->self, random_, now);
  if (node.self != policy_->self) {
    return fail(ErrorCode::kInvalid, fmt::format("the store belongs to KME {}, the configuration says {}",
                                                 node.self.str(), policy_->self.str()));
  }
  stored_time_ = node.time;
  batch.now = std::max(now, stored_time_);
  if (life_ == 0 || node.life != life_) {
    batch.changes.put_peers = begin_life(node, snapshot->peers, random_);
    batch.changes.node.emplace(copy_of(node));
    reconcile_until_ = is_new ? batch.now : batch.now + policy_->timing.reconcile_ms;
  }
  const std::uint64_t life = node.life;
  auto engine = std::make_unique<Engine>(*policy_, std::move(*snapshot), random_, reconcile_until_);
  engine->recover(batch);
  if (!batch.changes.empty()) {
    const auto outcome = store_.commit(std::move(batch.changes));
    if (outcome == CommitOutcome::kUnknown) state_ = State::kDead;
    if (outcome != CommitOutcome::kDurable) return fail(ErrorCode::kIo, "the store cannot be written");
  }
  life_ = life;
  engine_ = std::move(engine);
  state_ = State::kOpen;
  std::ranges::move(batch.effects.notices, std::back_inserter(notices_));
  return {};
}

// Without an engine: whoever asks is refused, and no session can be had.
Node::Outcome Node::refuse_all(const std::vector<Event>& events) const {
  Outcome outcome;
  for (const Event& event : events) {
    if (const auto* sae = std::get_if<SaeEvent>(&event))
      outcome.effects.replies.push_back({sae->token, closed_error()});
    if (const auto* report = std::get_if<ReportRequest>(&event)) outcome.effects.reports.push_back({report->token, {}});
    if (const auto* up = std::get_if<PeerUp>(&event))
      outcome.effects.closes.push_back({up->peer, up->session, "the store is closed"});
  }
  return outcome;
}

// What the engine believes is not what the store has. It goes; everyone who waits for it gets an answer.
void Node::abandon_engine(State state, Millis now, Outcome& outcome) {
  for (RequestToken token : engine_->tokens_in_flight()) outcome.effects.replies.push_back({token, closed_error()});
  engine_.reset();
  state_ = state;
  reopen_at_ = now + kReopenEveryMs;
  outcome.sessions_lost = true;
}

Node::Outcome Node::step(std::vector<Event> events, Millis now) {
  if (state_ == State::kClosed && now >= reopen_at_) {
    reopen_at_ = now + kReopenEveryMs;
    static_cast<void>(rebuild(now));  // state() says whether it worked
  }
  if (state_ != State::kOpen) return refuse_all(events);
  Batch batch;
  batch.now = now;
  batch.asked = engine_->needs(events, now);
  if (!batch.asked.empty()) {
    auto loaded = store_.load(batch.asked);
    if (!loaded) {
      Outcome outcome = refuse_all(events);
      abandon_engine(State::kClosed, now, outcome);
      return outcome;
    }
    batch.loaded = std::move(*loaded);
  }
  engine_->begin(batch);
  for (Event& event : events) engine_->handle(std::move(event), batch);
  engine_->finish(batch);
  return commit(batch);
}

Node::Outcome Node::replace_policy(std::shared_ptr<const Policy> policy, Millis now) {
  assert(policy->self == policy_->self);
  const auto before = std::exchange(policy_, std::move(policy));  // the engine refers to it until it has the new one
  if (state_ != State::kOpen) return {};
  Snapshot stored;
  if (engine_->lacks_links_of(*policy_)) {
    auto loaded = store_.load_all();
    if (!loaded) {
      Outcome outcome;
      abandon_engine(State::kClosed, now, outcome);
      return outcome;
    }
    stored = std::move(*loaded);
  }
  Batch batch;
  batch.now = now;
  engine_->replace_policy(*policy_, std::move(stored), batch);
  engine_->finish(batch);
  return commit(batch);
}

Node::Outcome Node::commit(Batch& batch) {
  const auto durable = batch.changes.empty() ? CommitOutcome::kDurable : store_.commit(std::move(batch.changes));
  if (durable == CommitOutcome::kDurable) {
    auto& notices = batch.effects.notices;
    notices.insert(notices.begin(), std::make_move_iterator(notices_.begin()), std::make_move_iterator(notices_.end()));
    notices_.clear();
    return {std::move(batch.effects), false};
  }
  Outcome outcome;
  if (planted(Bug::kEarlyReply)) {
    outcome.effects = std::move(batch.effects);
  } else {
    // The keys in these replies are wiped here: in doubt, burn.
    for (const ReplyEffect& reply : batch.effects.replies)
      outcome.effects.replies.push_back({reply.token, closed_error()});
    for (const ReportEffect& report : batch.effects.reports) outcome.effects.reports.push_back({report.token, {}});
  }
  abandon_engine(durable == CommitOutcome::kFailed ? State::kClosed : State::kDead, batch.now, outcome);
  return outcome;
}

}  // namespace qkms::kms
