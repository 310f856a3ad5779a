#include "sim/site.h"

#include <algorithm>

namespace qkms::sim {

using storage::CommitFate;

Site::Site(Context& context, std::size_t index, SiteListener& listener)
    : context_(context),
      index_(index),
      listener_(listener),
      policy_(context.topology.policies[index]),
      store_([this](const kms::Changes& changes) { return draw_fate(changes); }),
      random_(context.random.next()) {
  clock_base_ = static_cast<Millis>(context.random.below(1'000'000));  // no two sites share a clock
}

CommitFate Site::draw_fate(const kms::Changes& changes) {
  const CommitFate fate = draw_fate_of(changes);
  if (changes.burned && (fate == CommitFate::kDurable || fate == CommitFate::kUnknownApplied)) note_burn();
  return fate;
}

CommitFate Site::draw_fate_of(const kms::Changes& changes) {
  const FaultRates& faults = context_.settings.faults;
  if (!changes.new_extents.empty() && context_.strikes(faults.row_damaged, Count::kRowDamaged)) {
    const kms::ExtentRow& row = changes.new_extents.front().first;
    store_.spoil(kms::ExtentKey{row.peer, row.id});
  }
  if (context_.strikes(faults.commit_failed, Count::kCommitFailed)) return CommitFate::kFailed;
  if (!context_.healed && context_.random.chance(faults.commit_unknown)) {
    const bool applied = context_.random.chance(500);
    context_.counts.add(applied ? Count::kUnknownApplied : Count::kUnknownLost);
    return applied ? CommitFate::kUnknownApplied : CommitFate::kUnknownLost;
  }
  return CommitFate::kDurable;
}

void Site::start() {
  if (up()) return;
  const bool first = life_ == 0;
  ++life_;
  const bool stopped = context_.settings.clocks_stop && !first;
  if (stopped) {
    clock_base_ = 0;
    clock_started_ = context_.scheduler.now();
  }
  if (const auto opened = open_node(); !opened) {
    context_.trace("{} does not start: {}", name(), opened.error().text);
    context_.counts.add(Count::kRestartFailed);
    store_.crash();
    return restart_later();
  }
  context_.trace("{} is up{}", name(), sealed() ? ", and sealed" : "");
  schedule_tick();
}

Result<void> Site::open_node() {
  if (context_.settings.seals && !context_.healed && context_.random.chance(200)) {
    context_.counts.add(Count::kStartedSealed);
    node_ = kms::Node::sealed(policy_, store_, random_);
    return {};
  }
  auto opened = kms::Node::open(policy_, store_, random_, local_time());
  if (!opened) return std::unexpected(opened.error());
  node_ = std::move(*opened);
  take_stored_time();
  return {};
}

void Site::take_stored_time() {
  clock_base_ = std::max(local_time(), node_->stored_time());
  clock_started_ = context_.scheduler.now();
}

void Site::seal() {
  if (!up() || sealed()) return;
  conclude(node_->seal({.action = api::AuditAction::kSeal, .actor = "operator"}, local_time()));
  if (!sealed()) return;  // it fell
  context_.trace("{} is sealed", name());
  context_.counts.add(Count::kSealed);
}

void Site::unseal() {
  if (!sealed()) return;
  perhaps_put_back();
  const auto unsealed = node_->unseal({.action = api::AuditAction::kUnseal, .actor = "operator"}, local_time());
  if (node_->state() == kms::Node::State::kDead) return crash(Count::kCrashInCommit);
  context_.trace("{} {}", name(), unsealed ? "is unsealed" : "is not unsealed: " + unsealed.error().text);
  context_.counts.add(unsealed ? Count::kUnsealed : Count::kUnsealFailed);
  if (unsealed) take_stored_time();
}

void Site::schedule_tick() {
  context_.scheduler.after(context_.settings.tick_ms, [this, life = life_] {
    if (life != life_) return;
    post(kms::Tick{});
    schedule_tick();
  });
}

void Site::post(kms::Event event) {
  if (!up()) return;
  inbox_.push_back(std::move(event));
  if (step_scheduled_) return;
  step_scheduled_ = true;
  context_.scheduler.after(context_.random.between(0, context_.settings.batching_ms), [this, life = life_] {
    if (life == life_) step();
  });
}

void Site::step() {
  step_scheduled_ = false;
  const FaultRates& faults = context_.settings.faults;
  if (!context_.healed && context_.random.chance(faults.crash_before)) return crash(Count::kCrashBefore);
  const bool is_new = store_.node().self.empty();  // the site has started sealed: there is nothing to copy
  if (faults.put_back > 0 && !is_new && !context_.healed && context_.random.chance(20)) {
    context_.counts.add(Count::kStoreCopied);
    store_.take_copy();
    copied_at_ = context_.scheduler.now();
  }
  context_.counts.add(Count::kSteps);
  context_.counts.add(Count::kEvents, inbox_.size());
  conclude(node_->step(std::exchange(inbox_, {}), local_time()));
}

void Site::replace_policy(std::shared_ptr<const kms::Policy> policy) {
  policy_ = std::move(policy);
  if (!up()) return context_.counts.add(Count::kPolicyForNextLife);
  context_.counts.add(Count::kPolicyReplaced);
  conclude(node_->replace_policy(policy_, local_time()));
}

void Site::conclude(kms::Node::Outcome outcome) {
  const FaultRates& faults = context_.settings.faults;
  const bool dead = node_->state() == kms::Node::State::kDead;
  if (!context_.healed && !dead && context_.random.chance(faults.crash_after)) return crash(Count::kCrashAfter);
  // A node that died over a commit may still have got its refusals out, or not.
  if (!dead || context_.random.chance(500))
    listener_.released(index_, std::move(outcome.effects), dead ? Doubt::kAll : Doubt::kNone);
  if (dead) return crash(Count::kCrashInCommit);
  if (!outcome.sessions_lost) return;
  lose_memory();
  listener_.sessions_lost(index_);
}

void Site::lose_memory() {
  context_.history.lives.push_back({context_.topology.kmes[index_], context_.scheduler.now()});
}

void Site::crash(Count how) {
  context_.trace("{} falls", name());
  context_.counts.add(how);
  context_.history.crashes.push_back({context_.topology.kmes[index_], context_.scheduler.now()});
  lose_memory();
  node_.reset();
  inbox_.clear();
  step_scheduled_ = false;
  ++life_;
  perhaps_put_back();
  store_.crash();
  listener_.crashed(index_);
  restart_later();
}

// One at a time: two stores that are both put back cannot tell each other. Marked as restored by the operator, or not;
// not where peers may be taken out of the policy, since only peers are waited for.
void Site::perhaps_put_back() {
  auto& put_backs = context_.history.put_backs;
  if (!store_.has_copy() || (!put_backs.empty() && !put_backs.back().noticed)) return;
  if (context_.healed || !context_.random.chance(context_.settings.faults.put_back)) return;
  const bool unmarked = context_.random.chance(700) && !context_.settings.reloads && listener_.would_hear_of_it(index_);
  context_.trace("{}'s store is put back to {} ms{}", name(), copied_at_, unmarked ? "" : ", and marked as restored");
  context_.counts.add(unmarked ? Count::kPutBackUnmarked : Count::kPutBackMarked);
  if (sealed()) context_.counts.add(Count::kPutBackWhileSealed);
  store_.put_back(unmarked ? storage::MemoryStore::Declared::kNo : storage::MemoryStore::Declared::kYes);
  put_backs.push_back({context_.topology.kmes[index_], copied_at_, context_.scheduler.now(), {}});
  listener_.put_back(index_);
}

// Once for each time that it was put back; but a peer may know of a state between two of these times, and tell it late.
void Site::note_burn() {
  auto& put_backs = context_.history.put_backs;
  const KmeId& self = context_.topology.kmes[index_];
  const auto last = std::ranges::find(put_backs.rbegin(), put_backs.rend(), self, &PutBack::kme);
  const bool expected = last != put_backs.rend() && !last->noticed;
  if (!expected && std::ranges::count(put_backs, self, &PutBack::kme) < 2) {
    context_.history.alarms.push_back({context_.scheduler.now(), self, "it burns a store that was not put back"});
    return;
  }
  context_.counts.add(expected ? Count::kPutBackNoticed : Count::kPutBackNoticedAgain);
  last->noticed = context_.scheduler.now();
}

void Site::restart_later() {
  const Millis pause = context_.healed               ? 50
                       : context_.random.chance(700) ? context_.random.between(10, 400)
                                                     : context_.random.between(400, 5000);
  context_.scheduler.after(pause, [this, life = life_] {
    if (life == life_) start();
  });
}

void Site::heal() {
  start();
  unseal();
}

}  // namespace qkms::sim
