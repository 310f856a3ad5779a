// The ordered conversation with one peer: every message is handled exactly once, in order, over broken sessions and
// crashes of either end.
//
// Operation: post() numbers a message and puts it into the durable outbox; it is sent when the session is open and
// again after each reconnection, until the peer has acknowledged it. The receiver stores the last number that it
// handled in the same commit as what the message did, so a repetition is known as one. Sessions begin with a Hello in
// both directions; what the two say about the pair's history decides whether they go on or start afresh (see
// pair_agrees()). Concurrency: the engine's thread. Limits: the caller looks at outbox_size() before it posts for a
// request.
#pragma once

#include <deque>
#include <optional>
#include <set>

#include "kms/batch.h"
#include "kms/divergence.h"
#include "kms/life.h"

namespace qkms::kms {

// Both ends compute this from the same two Hellos and get the same answer: each knows the other's incarnation, they are
// in the same pair epoch, and neither has forgotten something that the other remembers. A store that was lost or rolled
// back fails it.
bool pair_agrees(const api::Hello& a, const api::Hello& b);

class Channel {
 public:
  // `row` and `outbox` as stored. `life` says who we are: it fills our Hellos, makes our marks, and must outlive this.
  Channel(const Life& life, PeerRow row, std::vector<OutboxRow> outbox);

  const KmeId& self() const { return life_.node().self; }
  const KmeId& peer() const { return row_.peer; }
  bool open() const { return state_ == State::kOpen; }
  bool connected() const { return state_ != State::kDown; }
  std::size_t outbox_size() const { return outbox_.size(); }
  const PeerRow& row() const { return row_; }
  // Whether the peer will yet get an offer of this block.
  bool will_send_offer(const LinkId& link, const BlockId& block) const;

  // Whether the peer may not know yet that we have rejected this block.
  bool rejection_under_way(const LinkId& link, const BlockId& block) const;

  void session_up(SessionId session, Batch& batch);
  void session_down(SessionId session);
  bool is_current(SessionId session) const { return connected() && session_ == session; }
  void close(const std::string& why, NoticeKind kind, Batch& batch);
  // The ranges of an Assign that the peer has not acknowledged.
  std::vector<Range> ranges_assigned(std::uint64_t record) const;
  // Whether every message that was sent and not acknowledged is still here.
  bool outbox_is_whole() const;
  // The next greeting will start the pair afresh.
  void forget_agreement(Finding why);
  // What the peer says contradicts what we have agreed on: close, and start afresh at the next greeting.
  void diverged(Finding why, Batch& batch);

  std::uint64_t post(api::Message message, Batch& batch);

  // kResumed: the outbox goes out again. kMet, kReset: sequence numbers start at 1 and the outbox is empty; the caller
  // burns what the pair shared, which at a first contact, kMet, is nothing. kRefused: the session is being closed.
  // kPutBack: the peer has proved that our store was put back; nothing was done about it yet.
  enum class Greeting { kResumed, kMet, kReset, kRefused, kPutBack };
  // Whether we would burn what the pair shares now (kms/fresh_starts.h). kMayNot: refused rather.
  enum class Afresh { kMay, kMayNot };
  Greeting greet(const api::Hello& theirs, Afresh afresh, Batch& batch);
  // After kReset: why.
  const Finding& reset_because() const { return reset_because_; }

  // Whether this message is the next one and has to be handled. A repetition is not; a gap closes the session.
  bool accept(const api::Numbered& numbered, Batch& batch);
  // Whether this record of the peer's is a new one: record numbers only grow.
  bool accept_record(std::uint64_t record);
  // The peer has everything up to `number`. False: it cannot have; the session is being closed.
  bool acknowledge(std::uint64_t number, Batch& batch);

  // Accounts are told when all that we have sent is acknowledged: once in a session, and from then on when something
  // has happened since, this often at most.
  bool accounts_due(Millis every_ms, Millis now) const;
  // Nothing happens while the session is not open.
  void tell(api::LinkNote note, Batch& batch);
  void tell(const api::Accounts& accounts, Batch& batch);
  void hear(const api::Accounts& accounts, std::uint64_t acknowledged) { heard_accounts_ = {accounts, acknowledged}; }
  // At the batch's end: what was heard in it, if neither end has come further since.
  std::optional<api::Accounts> take_accounts();

  // What the peer said of itself, to be given back.
  void hear(const api::Mark& mark);
  // Our store is another one now, and our Hellos say so. The session ends; at the next, the pair starts afresh.
  void leave_session(const std::string& why, Batch& batch);

  // Heartbeat out: in time, and when we have given out what the peer's mark of us does not tell. Silence noticed.
  void tick(Millis heartbeat_ms, Millis silence_ms, Batch& batch);
  void heard(Millis now) { last_heard_ = now; }

  // At the batch's end: frames for what was posted, an acknowledgement for what was handled, the row if it changed.
  void flush(bool ledger_changed, const Ledger& ledger, std::uint64_t next_extent, Batch& batch);

 private:
  enum class State { kDown, kGreeting, kOpen };
  api::Hello hello() const;
  bool greetable(const api::Hello& theirs, Batch& batch);
  Greeting reset(const api::Hello& theirs, Batch& batch);
  void send_heartbeat(api::Heartbeat heartbeat, Batch& batch);
  void frames_left(const api::Mark& mark, Batch& batch);
  void send_what_is_due(Batch& batch);

  const Life& life_;
  PeerRow row_;
  std::deque<api::Numbered> outbox_;
  std::uint64_t unsent_from_ = 0;  // messages from this number on were not sent in this session

  State state_ = State::kDown;
  SessionId session_ = 0;
  api::Hello my_hello_;  // as sent in this session: what the peer judges by, so what we judge by
  Millis last_heard_ = 0;
  Millis last_sent_ = 0;
  std::uint64_t told_progress_ = 0;  // by the last mark of this session
  struct Heard {
    api::Accounts accounts;
    std::uint64_t acknowledged = 0;
  };
  struct Point {
    std::uint64_t sent = 0, received = 0;
    bool operator==(const Point&) const = default;
  };
  std::optional<Heard> heard_accounts_;  // in the present batch
  std::optional<Point> told_accounts_;   // of which point of the conversation, in this session
  Millis told_accounts_at_ = 0;
  std::optional<Finding> doubt_;  // why we have forgotten the agreement
  Finding reset_because_{};
  bool acknowledgement_due_ = false;
  bool heartbeat_due_ = false;
  bool row_changed_ = false;
};

}  // namespace qkms::kms
