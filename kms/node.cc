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

// Of records that cannot be written. Whoever knocks in vain for a year must not fill the memory; the log has the rest.
constexpr std::size_t kMostOwed = 1000;

bool tell_the_same(const api::AuditRecord& a, const api::AuditRecord& b) {
  return a.action == b.action && a.actor == b.actor && a.subject == b.subject && a.reason == b.reason;
}

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

std::unique_ptr<Node> Node::sealed(std::shared_ptr<const Policy> policy, Store& store, Random& random) {
  std::unique_ptr<Node> node(new Node(std::move(policy), store, random));
  node->state_ = State::kSealed;
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
  batch.changes.audit.insert(batch.changes.audit.begin(), owed_.begin(), owed_.end());
  if (!batch.changes.empty()) {
    const auto outcome = store_.commit(std::move(batch.changes));
    if (outcome == CommitOutcome::kUnknown) state_ = State::kDead;
    if (outcome != CommitOutcome::kDurable) return fail(ErrorCode::kIo, "the store cannot be written");
  }
  owed_.clear();
  life_ = life;
  engine_ = std::move(engine);
  state_ = State::kOpen;
  std::ranges::move(batch.effects.notices, std::back_inserter(notices_));
  return {};
}

Error Node::refusal() const {
  if (state_ == State::kSealed) return {ErrorCode::kSealed, "the key store is sealed"};
  return {ErrorCode::kClosed, "the key store is not available"};
}

// The same again and again is one record.
void Node::owe(api::AuditRecord record) {
  if (!owed_.empty() && tell_the_same(owed_.back(), record)) {
    std::uint64_t& count = owed_.back().count;
    count = std::max<std::uint64_t>(count, 1) + std::max<std::uint64_t>(record.count, 1);
  } else if (owed_.size() < kMostOwed) {
    owed_.push_back(std::move(record));
  }
}

// Without an engine: whoever asks is refused, and no session can be had.
Node::Outcome Node::refuse_all(std::vector<Event> events) {
  Outcome outcome;
  const char* const why = state_ == State::kSealed ? "the store is sealed" : "the store is closed";
  for (Event& event : events) {
    if (const auto* sae = std::get_if<SaeEvent>(&event)) outcome.effects.replies.push_back({sae->token, refusal()});
    if (const auto* report = std::get_if<ReportRequest>(&event)) outcome.effects.reports.push_back({report->token, {}});
    if (const auto* up = std::get_if<PeerUp>(&event)) outcome.effects.closes.push_back({up->peer, up->session, why});
    if (auto* audit = std::get_if<AuditEvent>(&event)) owe(std::move(audit->record));
  }
  return outcome;
}

// What the engine believes is not what the store has. It goes; everyone who waits for it gets an answer.
void Node::abandon_engine(State state, Millis now, Outcome& outcome) {
  state_ = state;
  for (RequestToken token : engine_->tokens_in_flight()) outcome.effects.replies.push_back({token, refusal()});
  engine_.reset();
  reopen_at_ = now + kReopenEveryMs;
  outcome.sessions_lost = true;
}

Node::Outcome Node::step(std::vector<Event> events, Millis now) {
  if (state_ == State::kClosed && now >= reopen_at_) {
    reopen_at_ = now + kReopenEveryMs;
    static_cast<void>(rebuild(now));  // state() says whether it worked
  }
  if (state_ != State::kOpen) return refuse_all(std::move(events));
  Batch batch;
  batch.now = now;
  batch.asked = engine_->needs(events, now);
  if (!batch.asked.empty()) {
    auto loaded = store_.load(batch.asked);
    if (!loaded) {
      Outcome outcome = refuse_all(std::move(events));
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

Node::Outcome Node::seal(api::AuditRecord record, Millis now) {
  Outcome outcome;
  if (state_ == State::kSealed || state_ == State::kDead) return outcome;
  if (state_ == State::kOpen) {
    std::vector<Event> events;
    events.emplace_back(AuditEvent{record});
    outcome = step(std::move(events), now);
  }
  if (state_ == State::kDead) return outcome;
  if (state_ == State::kOpen) {
    abandon_engine(State::kSealed, now, outcome);
  } else {
    state_ = State::kSealed;
    owe(std::move(record));
  }
  if (!planted(Bug::kTrustSealedStore)) life_ = 0;  // who knows what becomes of the file meanwhile
  return outcome;
}

Result<void> Node::unseal(api::AuditRecord record, Millis now) {
  assert(state_ == State::kSealed);
  owed_.push_back(std::move(record));
  auto rebuilt = rebuild(now);
  if (!rebuilt) owed_.pop_back();
  return rebuilt;
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
    for (const ReplyEffect& reply : batch.effects.replies) outcome.effects.replies.push_back({reply.token, refusal()});
    for (const ReportEffect& report : batch.effects.reports) outcome.effects.reports.push_back({report.token, {}});
  }
  abandon_engine(durable == CommitOutcome::kFailed ? State::kClosed : State::kDead, batch.now, outcome);
  return outcome;
}

}  // namespace qkms::kms
