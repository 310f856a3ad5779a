// From a device's block to extents that both ends hold: the two find out by a one-time MAC whether their halves are
// equal.
//
// The leader (lower KME ID) offers each block with its tag. The follower has the last word: it accepts when its own
// block gives the same tag, rejects when it does not, or when its own has not come in time. Only then does the leader
// act, so the two never disagree: a leader keeps what it has offered until it hears. Blocks of different ends meet in
// any order, late, twice, or not at all. Concurrency: the engine's thread. Limits: LinkPolicy::max_pending_bytes of
// blocks and kMaxWaitingOffers offers wait.
#pragma once

#include <deque>
#include <map>
#include <unordered_set>

#include "kms/pair.h"

namespace qkms::kms {

// The peer has counted a block as quarantined that we do not hold, so we cannot do the same.
inline Finding quarantined_alone(const api::BlockReject& reject) {
  return {Divergence::kBlockUnknown, "it quarantines block " + to_string(reject.block) + ", which we do not hold"};
}

inline constexpr std::size_t kMinBlockBytes = 64;
inline constexpr std::size_t kMaxBlockBytes = 1 << 20;
inline constexpr std::size_t kMaxWaitingOffers = 4096;

enum class LinkRole { kLeader, kFollower };

class BlockExchange {
 public:
  // `blocks` and `seen` are this link's, as stored.
  BlockExchange(LinkId link, LinkRole role, LinkPolicy policy, PeerPolicy peer_policy, std::vector<BlockRow> blocks,
                const std::vector<BlockId>& seen);
  // With the same peer.
  void replace_policy(const LinkPolicy& policy, const PeerPolicy& peer_policy);

  const KmeId& peer() const { return policy_.peer; }

  // A device has delivered.
  void arrived(const BlockId& block, SecretBytes bits, Pair& pair, Batch& batch);
  // A session is open: the leader offers again what the follower may have forgotten.
  void offer_all(Pair& pair, Batch& batch);
  void handle(const api::BlockOffer& offer, Pair& pair, Batch& batch);
  void handle(const api::BlockAccept& accept, Pair& pair, Batch& batch);
  void handle(const api::BlockReject& reject, Pair& pair, Batch& batch);
  // The follower gives up on blocks and offers whose other half did not come.
  void expire(Pair& pair, Batch& batch);

  void tell_whether_full(const Pair& pair, Batch& batch);

  // The pair starts afresh: the leader offers again what it still has, and only that may be accepted.
  void forget_offers();
  // Our store was put back: both ends may have made extents of the blocks that wait here.
  void burn_what_is_stored(Batch& batch);

  // The link is in the policy no more. Offers that wait here are refused. Blocks that we have offered go on being
  // settled, since the peer may have accepted them.
  void wind_up(Pair& pair, Batch& batch);
  bool settled() const { return role_ == LinkRole::kFollower || pending_.empty(); }

  LinkReport report() const;

 private:
  struct Pending {
    Millis received_at;
    SecretBytes bits;
  };
  struct WaitingOffer {
    Millis received_at;
    api::BlockOffer offer;
  };

  void audit(api::AuditAction action, const BlockId& block, std::size_t bytes, std::string_view why, Batch& batch);
  bool refuse_arrival(const BlockId& block, const SecretBytes& bits, Pair& pair, Batch& batch);
  bool make_room(std::size_t bytes, Batch& batch);
  void keep(const BlockId& block, SecretBytes bits, Batch& batch);
  void offer(const BlockId& block, const SecretBytes& bits, Pair& pair, Batch& batch);
  void decide(const api::BlockOffer& offer, const SecretBytes& bits, Pair& pair, Batch& batch);
  void reject(const BlockId& block, api::BlockRejectReason reason, Pair& pair, Batch& batch);
  void wait_with(const api::BlockOffer& offer, Pair& pair, Batch& batch);
  void thin_out_offers(Pair& pair, Batch& batch);
  bool drop_offer(const BlockId& block);
  void give_up(BlockId block, Pair& pair, Batch& batch);
  void drop_pending(const BlockId& block, Batch& batch);
  void remember(const BlockId& block, Batch& batch);

  LinkId link_;
  LinkRole role_;
  LinkPolicy policy_;
  PeerPolicy peer_policy_;
  std::map<BlockId, Pending> pending_;
  std::uint64_t pending_bytes_ = 0;
  std::map<BlockId, WaitingOffer> waiting_offers_;
  std::uint64_t waiting_bytes_ = 0;
  std::unordered_set<BlockId> seen_;
  std::deque<BlockId> seen_order_;
  std::optional<bool> told_full_;
  LinkReport counts_;
};

}  // namespace qkms::kms
