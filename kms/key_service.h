// Get status, Get key, Get key with key IDs: the operations of ETSI GS QKD 014 V1.1.1 without HTTP, for SAEs of this
// KME, and the peer's half of Get key.
//
// Operation: Get key takes bits, sends an Assign to every other KME that serves a slave, and answers when all of them
// have acknowledged it, which they do when they hold the keys durably. Until then the request is in flight, in memory
// only: after a crash its bits are burned here and, by a Void, there. Get key with key IDs answers from the assignment
// that the slave's KME holds. Concurrency: the engine's thread. Limits: Capacity::max_requests_in_flight, max_outbox.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "kms/assignments.h"
#include "kms/key_plan.h"
#include "kms/late_answers.h"
#include "kms/pair.h"
#include "kms/random.h"
#include "kms/reconciliation.h"
#include "kms/refusals.h"
#include "kms/reserves.h"
#include "kms/usage.h"

namespace qkms::kms {

using Pairs = std::map<KmeId, Pair>;

class KeyService {
 public:
  // `policy`, `pairs`, `random` and `reconciliation` must outlive this. `node` as stored.
  KeyService(const Policy& policy, Pairs& pairs, Random& random, Reconciliation& reconciliation, const NodeRow& node);

  // What Get key requests of one batch will take of a reservoir: of any bits, and of those since a moment.
  struct Demand {
    std::uint64_t bytes = 0, fresh_bytes = 0;
    Millis fresh_since = std::numeric_limits<Millis>::max();
  };
  // What the store must load for these. `demands` sums up per peer.
  void need(const SaeRequest& request, Millis now, std::map<KmeId, Demand>& demands, Needs& needs) const;
  void need(const KmeId& peer, const api::Message& message, Needs& needs) const;

  void handle(RequestToken token, const SaeRequest& request, Assignments& assignments, Batch& batch);

  // The peer's messages.
  void handle(const api::Assign& assign, Pair& pair, Assignments& assignments, Batch& batch);
  void handle(const api::AssignRefuse& refuse, Pair& pair, Assignments& assignments, Batch& batch);
  void handle(const api::Void& withdrawn, Pair& pair, Assignments& assignments, Batch& batch);
  // The peer has acknowledged all messages up to `number`.
  void acknowledged(const KmeId& peer, std::uint64_t number, Assignments& assignments, Batch& batch);

  // The pair starts afresh: what was in flight towards this peer fails.
  void abandon(const KmeId& peer, Assignments& assignments, Batch& batch);
  // Answers 503 to requests whose deadline has passed, and refusals that are due; drops assignments that have expired.
  void expire_requests(Assignments& assignments, Batch& batch);
  void expire_keys(Assignments& assignments, Batch& batch);
  // Hands the audit log what was refused since the last time.
  void audit_refusals(Batch& batch) { refusals_.flush(batch); }
  // After a restart: whatever was sent and not acknowledged had not been answered, and is withdrawn.
  void withdraw_unanswered(const std::vector<OutboxRow>& outbox, Assignments& assignments, Batch& batch);
  // It is no peer any more: requests that told it of keys fail.
  void forget_peer(const KmeId& peer, Assignments& assignments, Batch& batch);
  // Another policy for the same KME. Its pairs are there already.
  void replace_policy(const Policy& policy);

  std::size_t requests_in_flight() const { return in_flight_.size(); }
  // Of requests in flight and of refusals held back.
  std::vector<RequestToken> tokens_in_flight() const;
  const std::map<SaeId, SaeReport>& saes() const { return counts_; }
  // The record numbers below this are reserved; to be stored when it has changed.
  std::optional<std::uint64_t> take_new_record_limit() { return std::exchange(new_record_limit_, std::nullopt); }

 private:
  struct Leg {
    KmeId peer;
    std::uint64_t sequence = 0;
  };
  struct InFlight {
    RequestToken token = 0;
    Millis deadline = 0;
    SaeId master;
    std::string slaves;  // for the audit log
    KeysReply keys;
    std::vector<Leg> waiting;        // legs that have not been acknowledged
    std::vector<KmeId> told;         // all that got an Assign
    std::optional<KmeId> bits_from;  // the reservoir that the bits came from; none when all slaves are ours
  };
  static const SaeId& caller_of(const SaeRequest& request);
  static const SaeId* slave_of(const SaeRequest& request);
  bool serves(const SaeId& sae) const;
  SaeReply status(const StatusRequest& request, Millis now);
  void get_key(RequestToken token, const KeyRequest& request, Assignments& assignments, Batch& batch);
  Result<void> check_room(const KeyPlan& plan, Millis now);
  bool all_since(const KeyPlan& plan, Millis not_before) const;
  Result<Millis> choose_age(const KeyRequest& request, const KeyPlan& plan, Millis now) const;
  Result<std::vector<Taken>> take_for(const KeyPlan& plan, Millis not_before, Batch& batch);
  void start(RequestToken token, const KeyPlan& plan, std::vector<Taken> taken, Assignments& assignments, Batch& batch);
  void send_leg(const KeyPlan& plan, std::size_t leg, std::uint64_t record, Taken taken, InFlight& flight,
                Batch& batch);
  void keep_local(const KeyPlan& plan, std::uint64_t record, const SecretBytes& bits, Assignments& assignments,
                  Batch& batch);
  std::uint64_t next_record();
  void make_reserves();
  std::uint64_t open_to(const KmeId& kme, const SaeId& master, const SaeId& slave);

  void get_by_ids(RequestToken token, const KeyIdsRequest& request, Assignments& assignments, Batch& batch);
  const KeyIdCodec* ids_of(const KmeId& issuer) const;
  Result<std::vector<KeyPlace>> entitled(const KeyIdsRequest& request, const KmeId& issuer,
                                         const Assignments& assignments, Millis now) const;
  void refuse_ids(RequestToken token, const SaeId& caller, Error error, Batch& batch);
  void fetch(Assignment& assignment, std::uint32_t index, const SaeId& slave, std::span<std::uint8_t> out);

  void refuse(RequestToken token, const SaeId& caller, Error error, Batch& batch);
  void complete(InFlight flight, Batch& batch);
  void fail_request(std::uint64_t record, Error error, Assignments& assignments, Batch& batch);
  void audit_expiry(const Assignment& assignment, Batch& batch);
  void retire(const Assignment& assignment, std::uint64_t Ledger::* column);

  const Policy* policy_;
  Pairs& pairs_;
  Random& random_;
  Reconciliation& reconciliation_;
  Usage usage_;
  std::map<KmeId, Reserves> reserves_;  // by the peer whose reservoir it is
  LateAnswers late_;
  Refusals refusals_;
  std::map<SaeId, SaeReport> counts_;
  KeyIdCodec own_ids_;
  std::uint64_t next_record_;
  std::uint64_t record_limit_;
  std::optional<std::uint64_t> new_record_limit_;
  std::map<std::uint64_t, InFlight> in_flight_;                          // by record
  std::map<KmeId, std::map<std::uint64_t, std::uint64_t>> by_sequence_;  // peer → sequence of the Assign → record
};

}  // namespace qkms::kms
