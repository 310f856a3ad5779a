// The engine and its store, tied together by the rule that makes the system trustworthy: nothing leaves before it is
// durable. qkmsd and the simulator both run this; there is no second loop.
//
// Operation: open() once, then step() with each batch of events. Effects come back only when the batch is durable. The
// first opening begins a life of the store (life.h), and so does each unsealing.
// Concurrency: one thread. step() blocks in the store.
// Failure: when the store cannot load, or says that a commit failed, everyone who waits is answered kClosed, every
// session must be closed by the caller (Outcome::sessions_lost), and about once a second step() makes a new engine from
// the store, as if the process had crashed. After an `unknown` commit the node is dead: exit, and let a restart read
// what the disk has.
// Seal: seal() throws the engine away as a failed commit does, but nothing makes a new one before unseal(), and in
// between the store is not touched: it may be closed, moved, put back (docs/adr/0021-seal.md).
#pragma once

#include <memory>
#include <span>

#include "kms/event.h"
#include "kms/policy.h"
#include "kms/random.h"
#include "kms/store.h"

namespace qkms::kms {

class Engine;
struct Batch;

class Node {
 public:
  enum class State { kOpen, kClosed, kSealed, kDead };

  struct Outcome {
    Effects effects;
    bool sessions_lost = false;  // the engine knows of no session any more: close them all
  };

  // Reads the store and makes it this KME's if it is new. Fails when it belongs to another KME. `store` and
  // `random` must outlive the node.
  static Result<std::unique_ptr<Node>> open(std::shared_ptr<const Policy> policy, Store& store, Random& random,
                                            Millis now);
  // Begins as if it had been sealed; the store need not be open yet.
  static std::unique_ptr<Node> sealed(std::shared_ptr<const Policy> policy, Store& store, Random& random);
  ~Node();

  // Handles the events in order, commits once, and gives the effects out. `now` never decreases.
  Outcome step(std::vector<Event> events, Millis now);

  // Another policy for the same KME, in force when this returns. Requests under way go on.
  Outcome replace_policy(std::shared_ptr<const Policy> policy, Millis now);

  // Wipes what the engine has of key bits. `record` is in the audit log before that, or, when the store does not take
  // it now, with the unsealing. kSealed on return, or kDead.
  Outcome seal(api::AuditRecord record, Millis now);
  // The store has been opened anew, by seal()'s caller. Another life begins, with `record` in its first transaction.
  // After an error it is sealed as before, or dead.
  Result<void> unseal(api::AuditRecord record, Millis now);

  State state() const { return state_; }
  // Engine time of the last commit that the store knew when it was opened: the caller's clock goes on from there. 0
  // before the first opening.
  Millis stored_time() const { return stored_time_; }

 private:
  Node(std::shared_ptr<const Policy> policy, Store& store, Random& random);
  Result<void> rebuild(Millis now);
  Outcome refuse_all(std::vector<Event> events);
  Error refusal() const;
  void owe(api::AuditRecord record);
  void abandon_engine(State state, Millis now, Outcome& outcome);
  Outcome commit(Batch& batch);

  std::shared_ptr<const Policy> policy_;
  Store& store_;
  Random& random_;
  std::unique_ptr<Engine> engine_;
  State state_ = State::kClosed;
  Millis stored_time_ = 0;
  Millis reopen_at_ = 0;
  std::uint64_t life_ = 0;  // the one that this process has begun; 0: none yet
  Millis reconcile_until_ = 0;
  std::vector<Notice> notices_;         // of rebuild(), not given out yet
  std::vector<api::AuditRecord> owed_;  // came while nothing could be written; rebuild() writes them
};

}  // namespace qkms::kms
