// The engine: everything that decides something about keys, as one deterministic state machine.
//
// Operation: for each batch, needs() says what the store must load, handle() takes the events in order, finish()
// completes the batch's changes and effects. Node (node.h) is the only caller. The engine believes that what it
// recorded is stored: when a commit fails, it is thrown away and a new one is made from the store. Concurrency: one
// thread.
#pragma once

#include <map>
#include <memory>
#include <span>

#include "kms/assignments.h"
#include "kms/block_exchange.h"
#include "kms/event.h"
#include "kms/key_service.h"
#include "kms/pair.h"

namespace qkms::kms {

class Engine {
 public:
  // From what the store has; `snapshot.node` is filled. `policy` and `random` must outlive the engine. Stored keys go
  // out from `reconcile_until` on, or when all peers have said their Hellos.
  Engine(const Policy& policy, Snapshot snapshot, Random& random, Millis reconcile_until);

  // Once, before anything else: withdraws what a previous life has left unanswered, and burns what is stored when an
  // operator has put the store back.
  void recover(Batch& batch);

  // Another policy for the same KME. Requests under way go on; those towards a peer that is gone are answered as when
  // it cannot be reached. `stored` is what the store has, where lacks_links_of() says that it is needed.
  void replace_policy(const Policy& policy, Snapshot stored, Batch& batch);
  // Whether that policy has links that we do not: then the store may have blocks of them from earlier.
  bool lacks_links_of(const Policy& policy) const;

  Needs needs(std::span<const Event> events, Millis now) const;
  void begin(Batch& batch);
  void handle(Event event, Batch& batch);
  void finish(Batch& batch);

  // Requests that wait for a peer: their callers must get an answer even if the engine goes.
  std::vector<RequestToken> tokens_in_flight() const { return service_.tokens_in_flight(); }

 private:
  void on(SaeEvent event, Batch& batch);
  void on(PeerUp event, Batch& batch);
  void on(PeerDown event, Batch& batch);
  void on(PeerFrame event, Batch& batch);
  void on(BlockArrived event, Batch& batch);
  void on(Tick event, Batch& batch);
  void on(DriverNote event, Batch& batch);
  void hear(const api::LinkNote& note, const Pair& pair, Batch& batch) const;
  void on(AuditEvent event, Batch& batch) { batch.audit(std::move(event.record)); }
  void on(ReportRequest event, Batch& batch);

  void greet(const api::Hello& hello, Pair& pair, Batch& batch);
  void handle_message(const api::Message& message, Pair& pair, Batch& batch);
  void to_no_link(const api::BlockOffer& offer, Pair& pair, Batch& batch);
  void to_no_link(const api::BlockAccept& accept, Pair& pair, Batch& batch);
  void to_no_link(const api::BlockReject& reject, Pair& pair, Batch& batch);
  template <class BlockMessage>
  void to_link(const BlockMessage& message, Pair& pair, Batch& batch);
  bool housekeeping_due(Millis now) const { return now >= next_housekeeping_; }
  void keep_house(Batch& batch);
  void store_node(Batch& batch);
  // A mark with this ordinal, or an operator, says that the store was put back. In doubt, burn: all of it.
  void burn_what_is_stored(std::uint64_t heard, const std::string& why, Batch& batch);

  void part_with_peers(const Policy& policy, Batch& batch);
  void drop_settled_links(const Policy& policy);
  void replace_links(const Policy& policy, Snapshot& stored, Batch& batch);

  const Policy* policy_;
  Random& random_;
  Life life_;
  Reconciliation reconciliation_;
  Pairs pairs_;
  std::map<LinkId, BlockExchange> links_;  // of the policy, and others that have blocks to settle
  KeyService service_;
  std::vector<OutboxRow> left_over_;  // from the previous life; recover() empties it
  Assignments assignments_;
  Millis next_housekeeping_ = 0;
  Millis next_demand_decay_ = 0;
  Millis node_stored_at_ = 0;
};

}  // namespace qkms::kms
