// All that this KME shares with one peer: the channel, the reservoir, and the key to the peer's key IDs.
#pragma once

#include <optional>

#include "kms/accounts.h"
#include "kms/channel.h"
#include "kms/fresh_starts.h"
#include "kms/key_id.h"
#include "kms/policy.h"
#include "kms/reservoir.h"

namespace qkms::kms {

class Pair {
 public:
  // `life` must outlive the pair.
  Pair(const Life& life, PeerRow row, const std::vector<ExtentRow>& extents, std::vector<OutboxRow> outbox,
       std::size_t cache_bytes);

  Channel channel;
  Reservoir reservoir;

  const KmeId& peer() const { return channel.peer(); }
  // Enough for both ends: an end that has run dry gets more even if the other has not used its own.
  bool full(std::uint64_t capacity_bytes) const;
  // Null until the peer has told us its ID key.
  const KeyIdCodec* peer_ids() const { return peer_ids_ ? &*peer_ids_ : nullptr; }
  void learn_peer_ids();

  // As Channel::greet. When the pair starts afresh, both ends burn everything in the reservoir, and say why.
  Channel::Greeting greet(const api::Hello& theirs, Batch& batch);
  // Our store was put back: we burn everything in the reservoir, and what was held of it for SAEs of ours.
  void burn_what_is_stored(Batch& batch);

  // Extents change hands: we ask when we have much less than the peer, the peer gives up to half of what it has.
  void ask_when_low(Batch& batch);
  void handle(const api::ExtentRequest& request, Batch& batch);
  void handle(const api::ExtentGive& give, Batch& batch);
  void handle(const api::Burn& burn, Batch& batch);

  // The peer cannot read its copy of the extents that this Assign of ours took from: nobody will be able to use the
  // rest.
  void burn_extents_of(std::uint64_t record, Batch& batch);

  // At the batch's end: first what the peer must be told, then all of it. Accounts are compared from time to time.
  void announce_burns(Batch& batch);
  void flush(Millis compare_every_ms, Batch& batch);

  ReservoirReport report() const;

 private:
  void burn_reservoir(Batch& batch);
  void start_afresh(Channel::Greeting greeting, Batch& batch);
  void compare_accounts(Millis every_ms, Batch& batch);
  void audit_burns(Batch& batch);

  std::uint64_t bits_available() const {
    return (reservoir.available(Owner::kSelf) + reservoir.available(Owner::kPeer)) * 8;
  }

  std::optional<KeyIdCodec> peer_ids_;
  std::optional<Millis> asked_at_;
  Comparison comparison_;
  FreshStarts fresh_starts_;
  std::uint64_t comparisons_ = 0;
  std::array<std::uint64_t, kDivergences> divergences_{};
  bool missing_ = false;           // some of it was not there at the start
  std::uint64_t burned_in_audit_;  // of the ledger's burned bits, those that the audit log has
};

}  // namespace qkms::kms
