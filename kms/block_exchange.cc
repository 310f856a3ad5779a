#include "kms/block_exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "kms/one_time_mac.h"
#include "kms/planted_bug.h"

namespace qkms::kms {
namespace {

std::string_view text_of(api::BlockRejectReason reason) {
  switch (reason) {
    case api::BlockRejectReason::kMismatch:
      return "the two ends differ";
    case api::BlockRejectReason::kExpired:
      return "it never came at the other end";
    case api::BlockRejectReason::kRepeated:
      return "the other end had it before";
    case api::BlockRejectReason::kRefused:
      return "the other end did not want it";
  }
  return "";
}

}  // namespace

BlockExchange::BlockExchange(LinkId link, LinkRole role, LinkPolicy policy, PeerPolicy peer_policy,
                             std::vector<BlockRow> blocks, const std::vector<BlockId>& seen)
    : link_(std::move(link)), role_(role), policy_(std::move(policy)), peer_policy_(peer_policy) {
  for (BlockRow& row : blocks) {
    pending_bytes_ += row.bits.size();
    pending_.emplace(row.block, Pending{row.received_at, std::move(row.bits)});
  }
  for (const BlockId& block : seen) {
    if (seen_.insert(block).second) seen_order_.push_back(block);
  }
  counts_.link = link_;
  counts_.peer = policy_.peer;
}

void BlockExchange::replace_policy(const LinkPolicy& policy, const PeerPolicy& peer_policy) {
  assert(policy.peer == policy_.peer);
  policy_ = policy;
  peer_policy_ = peer_policy;
}

LinkReport BlockExchange::report() const {
  LinkReport report = counts_;
  report.pending_blocks = pending_.size();
  return report;
}

void BlockExchange::audit(api::AuditAction action, const BlockId& block, std::size_t bytes, std::string_view why,
                          Batch& batch) {
  batch.audit({.action = action,
               .actor = link_.str(),
               .subject = to_string(block),
               .bits = bytes * 8,
               .reason = std::string(why)});
}

// --- blocks from the device
// --------------------------------------------------------------------------------------------------------

bool BlockExchange::refuse_arrival(const BlockId& block, const SecretBytes& bits, Pair& pair, Batch& batch) {
  if (pending_.contains(block) || seen_.contains(block)) {
    ++counts_.blocks_repeated;
    batch.notice(NoticeKind::kBlockRepeated, link_.str(), fmt::format("block {} came before", to_string(block)));
    return true;
  }
  std::string why;
  if (bits.size() < kMinBlockBytes || bits.size() > kMaxBlockBytes) {
    why = fmt::format("block {} has {} bytes; accepted: {} to {}", to_string(block), bits.size(), kMinBlockBytes,
                      kMaxBlockBytes);
  } else if (!waiting_offers_.contains(block) && !make_room(bits.size(), batch)) {
    why = "too many blocks wait for their other halves";
  } else if (pair.full(peer_policy_.reservoir_capacity_bytes)) {
    why = "the reservoir is full";
  }
  if (why.empty()) return false;
  ++counts_.blocks_refused;
  batch.notice(NoticeKind::kBlockRefused, link_.str(), std::move(why));
  if (role_ == LinkRole::kFollower) {
    remember(block, batch);  // the leader learns at once that there is no hope for it
    if (drop_offer(block)) reject(block, api::BlockRejectReason::kRefused, pair, batch);
  }
  return true;
}

// Two ends full of halves whose other halves the other end has refused would go on refusing each other's for ever. So
// the follower, who has the last word, gives up its oldest half for a new one. The leader must keep what it has
// offered.
bool BlockExchange::make_room(std::size_t bytes, Batch& batch) {
  if (bytes > policy_.max_pending_bytes) return false;
  while (pending_bytes_ + bytes > policy_.max_pending_bytes) {
    if (role_ == LinkRole::kLeader) return false;
    const auto age = [](const auto& entry) { return entry.second.received_at; };
    const BlockId oldest = std::ranges::min_element(pending_, {}, age)->first;
    ++counts_.blocks_expired;
    batch.notice(NoticeKind::kBlockExpired, link_.str(),
                 fmt::format("block {} makes room for newer ones", to_string(oldest)));
    audit(api::AuditAction::kBlockLost, oldest, pending_.at(oldest).bits.size(), "it made room for newer ones", batch);
    drop_pending(oldest, batch);
    remember(oldest, batch);
  }
  return true;
}

void BlockExchange::arrived(const BlockId& block, SecretBytes bits, Pair& pair, Batch& batch) {
  ++counts_.blocks_received;
  if (refuse_arrival(block, bits, pair, batch)) return;
  if (role_ == LinkRole::kLeader) {
    offer(block, bits, pair, batch);
    keep(block, std::move(bits), batch);
    return;
  }
  const auto waiting = waiting_offers_.find(block);
  if (waiting == waiting_offers_.end()) {
    keep(block, std::move(bits), batch);
    return;
  }
  const api::BlockOffer offer = waiting->second.offer;
  drop_offer(block);
  decide(offer, bits, pair, batch);
}

void BlockExchange::keep(const BlockId& block, SecretBytes bits, Batch& batch) {
  batch.changes.new_blocks.push_back({link_, block, batch.now, bits.slice(0, bits.size())});
  pending_bytes_ += bits.size();
  pending_.emplace(block, Pending{batch.now, std::move(bits)});
}

void BlockExchange::drop_pending(const BlockId& block, Batch& batch) {
  const auto found = pending_.find(block);
  if (found == pending_.end()) return;
  pending_bytes_ -= found->second.bits.size();
  pending_.erase(found);
  batch.changes.dropped_blocks.emplace_back(link_, block);
}

void BlockExchange::remember(const BlockId& block, Batch& batch) {
  if (!seen_.insert(block).second) return;
  seen_order_.push_back(block);
  batch.changes.seen_blocks.push_back({link_, block});
  if (seen_order_.size() > kSeenBlocksPerLink) {
    seen_.erase(seen_order_.front());
    seen_order_.pop_front();
  }
}

// --- leader
// ------------------------------------------------------------------------------------------------------------------------

void BlockExchange::offer(const BlockId& block, const SecretBytes& bits, Pair& pair, Batch& batch) {
  const auto size = static_cast<std::uint32_t>(bits.size());
  const std::uint32_t leader_bytes =
      pair.reservoir.own_share_of_next(size - static_cast<std::uint32_t>(kOneTimeKeyBytes));
  pair.channel.post(api::BlockOffer{link_, block, size, leader_bytes, block_tag(block, bits.reveal())}, batch);
}

void BlockExchange::offer_all(Pair& pair, Batch& batch) {
  if (role_ != LinkRole::kLeader) return;
  for (const auto& [block, pending] : pending_) {
    if (!pair.channel.will_send_offer(link_, block)) offer(block, pending.bits, pair, batch);
  }
}

void BlockExchange::handle(const api::BlockAccept& accept, Pair& pair, Batch& batch) {
  const auto found = pending_.find(accept.block);
  if (role_ != LinkRole::kLeader || found == pending_.end() ||
      accept.leader_bytes > found->second.bits.size() - kOneTimeKeyBytes) {
    pair.channel.diverged({Divergence::kBlockUnknown,
                           fmt::format("it accepts block {}, which we did not offer so", to_string(accept.block))},
                          batch);
    return;
  }
  const SecretBytes& bits = found->second.bits;
  const auto appended = pair.reservoir.append_at(accept.first_extent, bits.reveal().subspan(kOneTimeKeyBytes),
                                                 accept.leader_bytes, Owner::kSelf, batch);
  if (!appended) {
    pair.channel.diverged({Divergence::kExtentDisputed, appended.error().text}, batch);
    return;
  }
  pair.reservoir.count_block(bits.size(), nullptr);
  ++counts_.blocks_accepted;
  audit(api::AuditAction::kIngest, accept.block, bits.size(), "", batch);
  drop_pending(accept.block, batch);
  remember(accept.block, batch);
}

void BlockExchange::handle(const api::BlockReject& reject, Pair& pair, Batch& batch) {
  const auto found = pending_.find(reject.block);
  const bool differs = reject.reason == api::BlockRejectReason::kMismatch;
  if (role_ != LinkRole::kLeader || found == pending_.end()) {
    // As a rule it answers an offer that was repeated. But a block is compared once, and then it is in its accounts.
    if (differs) pair.channel.diverged(quarantined_alone(reject), batch);
    return;
  }
  audit(differs ? api::AuditAction::kQuarantine : api::AuditAction::kBlockLost, reject.block, found->second.bits.size(),
        text_of(reject.reason), batch);
  switch (reject.reason) {
    case api::BlockRejectReason::kMismatch:
      ++counts_.blocks_mismatched;
      pair.reservoir.count_block(found->second.bits.size(), &Ledger::quarantined);
      batch.notice(NoticeKind::kBlockMismatch, link_.str(),
                   fmt::format("block {} differs at the two ends", to_string(reject.block)));
      break;
    case api::BlockRejectReason::kExpired:
      ++counts_.blocks_expired;
      batch.notice(NoticeKind::kBlockExpired, link_.str(),
                   fmt::format("block {} never came at the other end", to_string(reject.block)));
      break;
    case api::BlockRejectReason::kRepeated:
      ++counts_.blocks_repeated;
      break;
    case api::BlockRejectReason::kRefused:
      ++counts_.blocks_refused;
      break;
  }
  drop_pending(reject.block, batch);
  remember(reject.block, batch);
}

// --- follower
// ----------------------------------------------------------------------------------------------------------------------

void BlockExchange::handle(const api::BlockOffer& offer, Pair& pair, Batch& batch) {
  if (role_ != LinkRole::kFollower) {
    pair.channel.close("it offers a block on a link that we lead", NoticeKind::kProtocolError, batch);
  } else if (offer.size < kMinBlockBytes || offer.size > kMaxBlockBytes ||
             offer.leader_bytes > offer.size - kOneTimeKeyBytes) {
    pair.channel.close("it offers a block of an impossible size", NoticeKind::kProtocolError, batch);
  } else if (pair.channel.rejection_under_way(link_, offer.block)) {
    return;  // refused while the link was not in the policy: the leader will drop the block when it hears
  } else if (seen_.contains(offer.block)) {
    reject(offer.block, api::BlockRejectReason::kRepeated, pair, batch);
  } else if (const auto found = pending_.find(offer.block); found != pending_.end()) {
    const SecretBytes bits = found->second.bits.slice(0, found->second.bits.size());
    drop_pending(offer.block, batch);
    decide(offer, bits, pair, batch);
  } else if (waiting_offers_.size() >= kMaxWaitingOffers) {
    reject(offer.block, api::BlockRejectReason::kRefused, pair, batch);
  } else {
    wait_with(offer, pair, batch);
  }
}

void BlockExchange::wait_with(const api::BlockOffer& offer, Pair& pair, Batch& batch) {
  const auto [at, fresh] = waiting_offers_.try_emplace(offer.block, WaitingOffer{batch.now, offer});
  // An offer that comes again, after a reconnection, goes on waiting from when it came first.
  at->second.offer.leader_bytes = offer.leader_bytes;
  if (!fresh) return;
  waiting_bytes_ += offer.size;
  thin_out_offers(pair, batch);
}

// The leader keeps each of these blocks until it hears: what never came here must not fill its room.
void BlockExchange::thin_out_offers(Pair& pair, Batch& batch) {
  while (waiting_bytes_ > policy_.max_pending_bytes / 2 && waiting_offers_.size() > 1) {
    const auto age = [](const auto& entry) { return entry.second.received_at; };
    give_up(std::ranges::min_element(waiting_offers_, {}, age)->first, pair, batch);
  }
}

bool BlockExchange::drop_offer(const BlockId& block) {
  const auto found = waiting_offers_.find(block);
  if (found == waiting_offers_.end()) return false;
  waiting_bytes_ -= found->second.offer.size;
  waiting_offers_.erase(found);
  return true;
}

void BlockExchange::give_up(BlockId block, Pair& pair, Batch& batch) {
  ++counts_.blocks_expired;
  drop_offer(block);
  remember(block, batch);
  reject(block, api::BlockRejectReason::kExpired, pair, batch);
}

void BlockExchange::decide(const api::BlockOffer& offer, const SecretBytes& bits, Pair& pair, Batch& batch) {
  remember(offer.block, batch);
  if (offer.size != bits.size() || !tags_equal(offer.tag, block_tag(offer.block, bits.reveal()))) {
    ++counts_.blocks_mismatched;
    pair.reservoir.count_block(offer.size, &Ledger::quarantined);
    if (planted(Bug::kCountTwice)) pair.reservoir.count_block(offer.size, &Ledger::quarantined);
    batch.notice(NoticeKind::kBlockMismatch, link_.str(),
                 fmt::format("block {} differs at the two ends", to_string(offer.block)));
    audit(api::AuditAction::kQuarantine, offer.block, offer.size, text_of(api::BlockRejectReason::kMismatch), batch);
    reject(offer.block, api::BlockRejectReason::kMismatch, pair, batch);
    return;
  }
  const std::uint64_t first =
      pair.reservoir.append(bits.reveal().subspan(kOneTimeKeyBytes), offer.leader_bytes, Owner::kPeer, batch);
  pair.reservoir.count_block(bits.size(), nullptr);
  ++counts_.blocks_accepted;
  batch.notice(NoticeKind::kBlockAccepted, link_.str(),
               fmt::format("block {} of {} bytes", to_string(offer.block), bits.size()));
  audit(api::AuditAction::kIngest, offer.block, bits.size(), "", batch);
  pair.channel.post(api::BlockAccept{link_, offer.block, first, offer.leader_bytes}, batch);
}

void BlockExchange::tell_whether_full(const Pair& pair, Batch& batch) {
  const bool full = pair.full(peer_policy_.reservoir_capacity_bytes);
  if (told_full_ == full) return;
  told_full_ = full;
  batch.effects.links_full.push_back({link_, full});
}

void BlockExchange::forget_offers() {
  waiting_offers_.clear();
  waiting_bytes_ = 0;
}

void BlockExchange::burn_what_is_stored(Batch& batch) {
  while (!pending_.empty()) {
    const BlockId block = pending_.begin()->first;
    ++counts_.blocks_expired;
    drop_pending(block, batch);
    remember(block, batch);
  }
  forget_offers();
}

void BlockExchange::wind_up(Pair& pair, Batch& batch) {
  while (!waiting_offers_.empty()) {
    const BlockId block = waiting_offers_.begin()->first;
    drop_offer(block);
    remember(block, batch);
    reject(block, api::BlockRejectReason::kRefused, pair, batch);
  }
}

void BlockExchange::reject(const BlockId& block, api::BlockRejectReason reason, Pair& pair, Batch& batch) {
  pair.channel.post(api::BlockReject{link_, block, reason}, batch);
}

void BlockExchange::expire(Pair& pair, Batch& batch) {
  if (role_ != LinkRole::kFollower) return;
  const Millis oldest = batch.now - policy_.block_wait_ms;
  std::vector<BlockId> blocks, offers;
  for (const auto& [block, pending] : pending_) {
    if (pending.received_at < oldest) blocks.push_back(block);
  }
  for (const auto& [block, waiting] : waiting_offers_) {
    if (waiting.received_at < oldest) offers.push_back(block);
  }
  for (const BlockId& block : blocks) {
    ++counts_.blocks_expired;
    batch.notice(NoticeKind::kBlockExpired, link_.str(),
                 fmt::format("the other end never offered block {}", to_string(block)));
    audit(api::AuditAction::kBlockLost, block, pending_.at(block).bits.size(), "the other end never offered it", batch);
    drop_pending(block, batch);
    remember(block, batch);
  }
  for (const BlockId& block : offers) give_up(block, pair, batch);
  thin_out_offers(pair, batch);  // another policy may allow for fewer of them
}

}  // namespace qkms::kms
