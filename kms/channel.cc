#include "kms/channel.h"

#include <algorithm>
#include <cassert>

#include <fmt/format.h>

#include "kms/planted_bug.h"

namespace qkms::kms {

bool pair_agrees(const api::Hello& a, const api::Hello& b) {
  const auto remembers = [](const api::Hello& sender, const api::Hello& receiver) {
    return sender.acknowledged <= receiver.received && receiver.received <= sender.sent;
  };
  return a.pair_epoch != 0 && a.pair_epoch == b.pair_epoch && a.peer_incarnation == b.incarnation &&
         b.peer_incarnation == a.incarnation && remembers(a, b) && remembers(b, a);
}

Channel::Channel(const Life& life, PeerRow row, std::vector<OutboxRow> outbox) : life_(life), row_(std::move(row)) {
  for (OutboxRow& message : outbox) outbox_.push_back({message.sequence, std::move(message.message)});
}

bool Channel::will_send_offer(const LinkId& link, const BlockId& block) const {
  return std::ranges::any_of(outbox_, [&](const api::Numbered& numbered) {
    const auto* offer = std::get_if<api::BlockOffer>(&numbered.message);
    return numbered.sequence >= unsent_from_ && offer != nullptr && offer->link == link && offer->block == block;
  });
}

bool Channel::rejection_under_way(const LinkId& link, const BlockId& block) const {
  return std::ranges::any_of(outbox_, [&](const api::Numbered& numbered) {
    const auto* reject = std::get_if<api::BlockReject>(&numbered.message);
    return reject != nullptr && reject->link == link && reject->block == block;
  });
}

// --- sessions
// ----------------------------------------------------------------------------------------------------------------------

api::Hello Channel::hello() const {
  api::Hello hello;
  const NodeRow& own = life_.node();
  assert(own.id_key.size() == hello.id_key.size());
  hello.sender = own.self;
  hello.incarnation = own.incarnation;
  hello.peer_incarnation = row_.peer_incarnation;
  hello.pair_epoch = row_.pair_epoch;
  hello.sent = row_.sent;
  hello.acknowledged = row_.acknowledged;
  hello.received = row_.received;
  std::ranges::copy(own.id_key.reveal(), hello.id_key.begin());
  hello.heard = row_.heard;
  if (doubt_) hello.doubt = doubt_of(doubt_->kind);
  return hello;
}

void Channel::session_up(SessionId session, Batch& batch) {
  if (connected()) batch.effects.closes.push_back({peer(), session_, "replaced by a new session"});
  session_ = session;
  state_ = State::kGreeting;
  acknowledgement_due_ = heartbeat_due_ = false;
  told_accounts_.reset();
  heard_accounts_.reset();
  last_heard_ = last_sent_ = batch.now;
  my_hello_ = hello();
  batch.effects.sends.push_back({peer(), session_, {0, my_hello_}});
}

void Channel::session_down(SessionId session) {
  if (is_current(session)) state_ = State::kDown;
}

void Channel::close(const std::string& why, NoticeKind kind, Batch& batch) {
  batch.notice(kind, peer().str(), why);
  batch.effects.closes.push_back({peer(), session_, why});
  state_ = State::kDown;
}

std::vector<Range> Channel::ranges_assigned(std::uint64_t record) const {
  for (const api::Numbered& numbered : outbox_) {
    const auto* assign = std::get_if<api::Assign>(&numbered.message);
    if (assign != nullptr && assign->record == record) return assign->ranges;
  }
  return {};
}

bool Channel::outbox_is_whole() const {
  std::uint64_t expected = row_.acknowledged;
  for (const api::Numbered& numbered : outbox_) {
    if (numbered.sequence != ++expected) return false;
  }
  return expected == row_.sent;
}

// Whom we have not met we do not agree with, even if the other end has forgotten the agreement as well.
void Channel::forget_agreement(Finding why) {
  row_.peer_incarnation = 0;
  row_changed_ = true;
  doubt_ = std::move(why);
}

void Channel::diverged(Finding why, Batch& batch) {
  close(fmt::format("{}: {}", name_of(why.kind), why.text), NoticeKind::kLinkDivergence, batch);
  forget_agreement(std::move(why));
}

// Closes the session when not.
bool Channel::greetable(const api::Hello& theirs, Batch& batch) {
  std::string why;
  if (state_ != State::kGreeting) {
    why = "a second hello in one session";
  } else if (theirs.sender != peer()) {
    why = fmt::format("its certificate says {}, its hello says {}", peer().str(), theirs.sender.str());
  } else if (std::min(theirs.version_max, api::kPeerVersionMax) < std::max(theirs.version_min, api::kPeerVersionMin)) {
    why = fmt::format("no protocol version in common: it speaks {} to {}, we {} to {}", theirs.version_min,
                      theirs.version_max, api::kPeerVersionMin, api::kPeerVersionMax);
  } else if (theirs.pair_epoch >= api::kMaxPairEpoch && theirs.pair_epoch != row_.pair_epoch) {
    why = fmt::format("it speaks of pair epoch {}, after which there is none", theirs.pair_epoch);
  }
  if (!why.empty()) close(why, NoticeKind::kProtocolError, batch);
  return why.empty();
}

Channel::Greeting Channel::greet(const api::Hello& theirs, Afresh afresh, Batch& batch) {
  if (!greetable(theirs, batch)) return Greeting::kRefused;
  const Life::Verdict verdict = life_.judge(theirs.heard, row_);
  if (verdict == Life::Verdict::kPutBack) return Greeting::kPutBack;
  // Whoever gives back what we did not make has a store that is damaged, or lies: it concerns this pair alone. Where
  // the two start afresh anyway, it is as if the peer had heard nothing: a store of ours that was lost made that mark.
  if (verdict == Life::Verdict::kForged && pair_agrees(my_hello_, theirs)) {
    diverged({Divergence::kMarkNotOurs, "it gives back a mark of ours that we did not make"}, batch);
    return Greeting::kRefused;
  }
  if (afresh == Afresh::kMayNot && !pair_agrees(my_hello_, theirs)) {
    close("it wants to start afresh again, and has made us burn too often within an hour: no session with it for now",
          NoticeKind::kLinkDivergence, batch);
    return Greeting::kRefused;
  }
  state_ = State::kOpen;
  row_.told = life_.told_now();
  row_.peer_id_key = theirs.id_key;
  row_changed_ = true;
  if (!pair_agrees(my_hello_, theirs)) return reset(theirs, batch);
  // What they have is not sent again. But it counts as acknowledged only when a frame says so: what they had to say
  // about it, a refusal perhaps, comes before that frame.
  unsent_from_ = theirs.received + 1;
  acknowledgement_due_ = true;
  batch.notice(NoticeKind::kPairResumed, peer().str(),
               fmt::format("pair epoch {}, {} messages to send again", row_.pair_epoch, row_.sent - theirs.received));
  return Greeting::kResumed;
}

Channel::Greeting Channel::reset(const api::Hello& theirs, Batch& batch) {
  row_.pair_epoch = std::max(my_hello_.pair_epoch, theirs.pair_epoch) + 1;
  row_.peer_incarnation = theirs.incarnation;
  row_.sent = row_.acknowledged = row_.received = row_.last_record = 0;
  unsent_from_ = 1;
  outbox_.clear();
  // Messages of the old epoch that this very batch posted must not reach the store either.
  std::erase_if(batch.changes.new_outbox, [&](const OutboxRow& message) { return message.peer == peer(); });
  std::erase_if(batch.changes.acknowledged_outbox, [&](const auto& done) { return done.first == peer(); });
  batch.changes.cleared_outboxes.push_back(peer());
  const auto doubt = std::exchange(doubt_, std::nullopt);
  if (my_hello_.pair_epoch == 0 && theirs.pair_epoch == 0) return Greeting::kMet;
  reset_because_ = doubt ? *doubt : find_divergence(my_hello_, theirs);
  return Greeting::kReset;
}

// --- messages
// ----------------------------------------------------------------------------------------------------------------------

std::uint64_t Channel::post(api::Message message, Batch& batch) {
  const std::uint64_t number = ++row_.sent;
  row_changed_ = true;
  batch.changes.new_outbox.push_back({peer(), number, message});
  outbox_.push_back({number, std::move(message)});
  return number;
}

bool Channel::accept(const api::Numbered& numbered, Batch& batch) {
  acknowledgement_due_ = true;
  if (numbered.sequence <= row_.received) return planted(Bug::kHandleTwice);
  if (numbered.sequence != row_.received + 1) {
    close(fmt::format("message {} came after {}", numbered.sequence, row_.received), NoticeKind::kProtocolError, batch);
    return false;
  }
  row_.received = numbered.sequence;
  row_changed_ = true;
  return true;
}

bool Channel::accept_record(std::uint64_t record) {
  if (row_.last_record != 0 && record <= row_.last_record) return false;
  row_.last_record = record;
  row_changed_ = true;
  return true;
}

bool Channel::acknowledge(std::uint64_t number, Batch& batch) {
  if (number > row_.sent) {
    close(fmt::format("it acknowledges message {}, we have sent {}", number, row_.sent), NoticeKind::kProtocolError,
          batch);
    return false;
  }
  if (number <= row_.acknowledged) return true;
  row_.acknowledged = number;
  row_changed_ = true;
  while (!outbox_.empty() && outbox_.front().sequence <= number) outbox_.pop_front();
  batch.changes.acknowledged_outbox.emplace_back(peer(), number);
  return true;
}

// --- accounts
// ----------------------------------------------------------------------------------------------------------------------

bool Channel::accounts_due(Millis every_ms, Millis now) const {
  if (!open() || !outbox_.empty()) return false;
  if (!told_accounts_) return true;
  return *told_accounts_ != Point{row_.sent, row_.received} && now - told_accounts_at_ >= every_ms;
}

void Channel::tell(const api::Accounts& accounts, Batch& batch) {
  told_accounts_ = {row_.sent, row_.received};
  told_accounts_at_ = batch.now;
  send_heartbeat({accounts}, batch);
}

void Channel::tell(api::LinkNote note, Batch& batch) {
  if (open()) send_heartbeat({{}, std::move(note)}, batch);
}

std::optional<api::Accounts> Channel::take_accounts() {
  const auto heard = std::exchange(heard_accounts_, std::nullopt);
  const bool now = heard && open() && heard->accounts.sent == row_.received && heard->acknowledged == row_.sent;
  return now ? std::optional(heard->accounts) : std::nullopt;
}

void Channel::hear(const api::Mark& mark) {
  const bool same_life = mark.ordinal == row_.heard.ordinal && mark.life == row_.heard.life;
  if (mark.ordinal == 0 || (same_life && mark.progress <= row_.heard.progress)) return;
  row_.heard = mark;
  row_changed_ = true;
}

void Channel::leave_session(const std::string& why, Batch& batch) {
  if (connected()) batch.effects.closes.push_back({peer(), session_, why});
  state_ = State::kDown;
}

void Channel::tick(Millis heartbeat_ms, Millis silence_ms, Batch& batch) {
  if (!connected()) return;
  if (batch.now - last_heard_ > silence_ms) {
    close("no frame for too long", NoticeKind::kPeerSilent, batch);
  } else if (open() && (batch.now - last_sent_ >= heartbeat_ms || told_progress_ != life_.node().progress)) {
    heartbeat_due_ = true;
  }
}

void Channel::send_what_is_due(Batch& batch) {
  const auto first = std::ranges::lower_bound(outbox_, unsent_from_, {}, &api::Numbered::sequence);
  if (first == outbox_.end()) {
    if (acknowledgement_due_ || heartbeat_due_) send_heartbeat({}, batch);
    return;
  }
  // Every frame has the mark: a session that breaks among them must not leave the peer with messages of ours, and
  // without knowing how far we had come.
  const api::Mark mark = life_.mark_for(peer());
  for (auto at = first; at != outbox_.end(); ++at) {
    // Only the last frame carries the new acknowledgement: an AssignRefuse must be read before the Assign counts as
    // done.
    const bool last = std::next(at) == outbox_.end();
    batch.effects.sends.push_back({peer(), session_, {last ? row_.received : 0, *at, mark}});
  }
  unsent_from_ = row_.sent + 1;
  frames_left(mark, batch);
}

void Channel::send_heartbeat(api::Heartbeat heartbeat, Batch& batch) {
  const api::Mark mark = life_.mark_for(peer());
  batch.effects.sends.push_back({peer(), session_, {row_.received, std::move(heartbeat), mark}});
  frames_left(mark, batch);
}

void Channel::frames_left(const api::Mark& mark, Batch& batch) {
  last_sent_ = batch.now;
  told_progress_ = mark.progress;
  acknowledgement_due_ = heartbeat_due_ = false;
}

void Channel::flush(bool ledger_changed, const Ledger& ledger, std::uint64_t next_extent, Batch& batch) {
  if (open()) send_what_is_due(batch);
  if (std::exchange(row_changed_, false) || ledger_changed) {
    row_.ledger = ledger;
    row_.next_extent = next_extent;
    batch.changes.put_peers.push_back(row_);
  }
}

}  // namespace qkms::kms
