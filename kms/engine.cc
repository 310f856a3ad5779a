#include "kms/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace qkms::kms {
namespace {

constexpr Millis kHousekeepingMs = 1000;
constexpr Millis kDemandDecayMs = 10'000;
constexpr Millis kStoreTimeMs = 10'000;

template <class Row>
std::vector<Row> take_rows(std::vector<Row>& rows, const KmeId& peer) {
  std::vector<Row> taken;
  for (Row& row : rows) {
    if (row.peer == peer) taken.push_back(std::move(row));
  }
  return taken;
}

PeerRow row_of(const std::vector<PeerRow>& rows, const KmeId& peer) {
  const auto found = std::ranges::find(rows, peer, &PeerRow::peer);
  if (found != rows.end()) return *found;
  PeerRow fresh;
  fresh.peer = peer;
  return fresh;
}

std::size_t cache_of_each(const Policy& policy) {
  return policy.capacity.cached_extent_bytes / std::max<std::size_t>(1, policy.peers.size());
}

// A pair for each peer of the policy, and for each that the store knows: one that is no peer any more may come back.
void add_pairs(const Policy& policy, const Life& life, Snapshot& snapshot, Pairs& pairs) {
  std::set<KmeId> wanted;
  for (const auto& [peer, peer_policy] : policy.peers) wanted.insert(peer);
  for (const PeerRow& row : snapshot.peers) wanted.insert(row.peer);
  auto outbox = snapshot.outbox;  // recovery still has to read it
  for (const KmeId& peer : wanted) {
    if (pairs.contains(peer)) continue;
    pairs.try_emplace(peer, life, row_of(snapshot.peers, peer), take_rows(snapshot.extents, peer),
                      take_rows(outbox, peer), cache_of_each(policy));
  }
}

// Those of `policy` that are not there yet; returns which.
std::vector<LinkId> add_links(const Policy& policy, Snapshot& snapshot, std::map<LinkId, BlockExchange>& links) {
  std::vector<LinkId> added;
  for (const auto& [link, link_policy] : policy.links) {
    if (links.contains(link)) continue;
    std::vector<BlockRow> blocks;
    std::vector<BlockId> seen;
    for (BlockRow& row : snapshot.blocks) {
      if (row.link == link) blocks.push_back(std::move(row));
    }
    for (const SeenBlock& row : snapshot.seen_blocks) {
      if (row.link == link) seen.push_back(row.block);
    }
    const LinkRole role = policy.leads(link_policy.peer) ? LinkRole::kLeader : LinkRole::kFollower;
    links.try_emplace(link, link, role, link_policy, policy.peers.at(link_policy.peer), std::move(blocks), seen);
    added.push_back(link);
  }
  return added;
}

// Whether this batch tells anybody of a key, or of bits that are taken.
bool gives_out(const Batch& batch) {
  return !batch.changes.new_outbox.empty() || std::ranges::any_of(batch.effects.replies, [](const ReplyEffect& reply) {
    return std::holds_alternative<KeysReply>(reply.reply);
  });
}

}  // namespace

Engine::Engine(const Policy& policy, Snapshot snapshot, Random& random, Millis reconcile_until)
    : policy_(&policy),
      random_(random),
      life_(std::move(snapshot.node)),
      reconciliation_(reconcile_until),
      service_(policy, pairs_, random, reconciliation_, life_.node()) {
  add_pairs(policy, life_, snapshot, pairs_);
  add_links(policy, snapshot, links_);
  left_over_ = std::move(snapshot.outbox);
}

void Engine::recover(Batch& batch) {
  service_.withdraw_unanswered(std::exchange(left_over_, {}), assignments_, batch);
  if (life_.node().restored) burn_what_is_stored(0, "it is marked as restored", batch);
  finish(batch);
}

void Engine::burn_what_is_stored(std::uint64_t heard, const std::string& why, Batch& batch) {
  life_.start_over(heard, random_);
  store_node(batch);
  batch.changes.burned = !planted(Bug::kKeepKeysPutBack);
  // Keys that this very batch was about to give out are among those in doubt.
  for (ReplyEffect& reply : batch.effects.replies) {
    if (std::holds_alternative<KeysReply>(reply.reply))
      reply.reply = Error{ErrorCode::kClosed, "the store was put back to an earlier state"};
  }
  std::erase_if(batch.changes.audit, [](const api::AuditRecord& record) {
    return record.action == api::AuditAction::kKeysToMaster || record.action == api::AuditAction::kKeysToSlave;
  });
  batch.audit({.action = api::AuditAction::kStorePutBack, .actor = policy_->self.str(), .reason = why});
  for (auto& [peer, pair] : pairs_) {
    service_.abandon(peer, assignments_, batch);
    pair.burn_what_is_stored(batch);
  }
  for (auto& [link, exchange] : links_) exchange.burn_what_is_stored(batch);
  assignments_.forget();
  reconciliation_.nothing_stored();
  batch.notice(
      NoticeKind::kStoreRolledBack, policy_->self.str(),
      fmt::format("the store was put back to an earlier state: {}. Keys in it may have been given out since, so "
                  "all of them are burned, and all pairs start afresh",
                  why));
}

// --- another policy
// ------------------------------------------------------------------------------------------------------

bool Engine::lacks_links_of(const Policy& policy) const {
  return std::ranges::any_of(policy.links, [this](const auto& link) {
    const auto found = links_.find(link.first);
    return found == links_.end() || found->second.peer() != link.second.peer;
  });
}

// The pair stays as it is, in memory and in the store: should the peer come back, nothing is lost.
void Engine::part_with_peers(const Policy& policy, Batch& batch) {
  for (auto& [peer, pair] : pairs_) {
    if (policy.peers.contains(peer)) continue;
    service_.forget_peer(peer, assignments_, batch);
    if (pair.channel.connected()) pair.channel.close("it is no peer any more", NoticeKind::kPolicyReplaced, batch);
  }
}

// Blocks of a link that goes stay in the store, and are read again should it come back; but not before the peer has
// answered our offers.
void Engine::replace_links(const Policy& policy, Snapshot& stored, Batch& batch) {
  std::erase_if(links_, [&](const auto& entry) {
    const auto wanted = policy.links.find(entry.first);
    return wanted != policy.links.end() && wanted->second.peer != entry.second.peer();
  });
  for (auto& [link, exchange] : links_) {
    const auto wanted = policy.links.find(link);
    if (wanted != policy.links.end()) {
      exchange.replace_policy(wanted->second, policy.peers.at(exchange.peer()));
    } else {
      exchange.wind_up(pairs_.at(exchange.peer()), batch);
    }
  }
  drop_settled_links(policy);
  for (const LinkId& link : add_links(policy, stored, links_)) {
    BlockExchange& exchange = links_.at(link);
    Pair& pair = pairs_.at(exchange.peer());
    if (pair.channel.open()) exchange.offer_all(pair, batch);  // others are offered in the next greeting
  }
}

void Engine::drop_settled_links(const Policy& policy) {
  std::erase_if(links_,
                [&](const auto& entry) { return !policy.links.contains(entry.first) && entry.second.settled(); });
}

void Engine::replace_policy(const Policy& policy, Snapshot stored, Batch& batch) {
  part_with_peers(policy, batch);
  Snapshot nothing;  // the store knows of no peer that has no pair yet
  add_pairs(policy, life_, nothing, pairs_);
  replace_links(policy, stored, batch);
  policy_ = &policy;
  service_.replace_policy(policy);
  batch.notice(NoticeKind::kPolicyReplaced, policy.self.str(), "a new policy is in force");
}

// --- what the store must load
// ------------------------------------------------------------------------------------------------------

Needs Engine::needs(std::span<const Event> events, Millis now) const {
  Needs needs;
  std::map<KmeId, KeyService::Demand> demands;
  for (const Event& event : events) {
    if (const auto* sae = std::get_if<SaeEvent>(&event)) {
      service_.need(sae->request, now, demands, needs);
    } else if (const auto* frame = std::get_if<PeerFrame>(&event)) {
      if (const auto* numbered = std::get_if<api::Numbered>(&frame->frame.body))
        service_.need(frame->peer, numbered->message, needs);
    } else if (std::holds_alternative<Tick>(event) && housekeeping_due(now)) {
      needs.expired_at = now;
    }
  }
  for (const auto& [peer, demand] : demands) {
    const auto pair = pairs_.find(peer);
    if (pair == pairs_.end()) continue;
    pair->second.reservoir.need_front(demand.bytes, kAnyAge, needs);
    if (demand.fresh_bytes > 0) pair->second.reservoir.need_front(demand.fresh_bytes, demand.fresh_since, needs);
  }
  return needs;
}

// --- events
// ------------------------------------------------------------------------------------------------------------------------

void Engine::begin(Batch& batch) {
  if (batch.loaded.unreadable > 0) {
    batch.notice(NoticeKind::kUnreadableRow, policy_->self.str(),
                 fmt::format("{} rows of the store do not open", batch.loaded.unreadable));
  }
  assignments_.load(batch.loaded);
}

void Engine::handle(Event event, Batch& batch) {
  std::visit([&](auto& alternative) { on(std::move(alternative), batch); }, event);
}

void Engine::on(SaeEvent event, Batch& batch) { service_.handle(event.token, event.request, assignments_, batch); }

void Engine::on(PeerUp event, Batch& batch) {
  const auto pair = pairs_.find(event.peer);
  if (pair != pairs_.end() && policy_->peers.contains(event.peer))
    pair->second.channel.session_up(event.session, batch);
}

void Engine::on(PeerDown event, Batch&) {
  const auto pair = pairs_.find(event.peer);
  if (pair != pairs_.end()) pair->second.channel.session_down(event.session);
}

void Engine::on(PeerFrame event, Batch& batch) {
  const auto found = pairs_.find(event.peer);
  if (found == pairs_.end() || !found->second.channel.is_current(event.session)) return;
  Pair& pair = found->second;
  pair.channel.heard(batch.now);
  if (const auto* hello = std::get_if<api::Hello>(&event.frame.body)) return greet(*hello, pair, batch);
  if (!pair.channel.open()) return pair.channel.close("it speaks before its hello", NoticeKind::kProtocolError, batch);
  if (const auto* numbered = std::get_if<api::Numbered>(&event.frame.body)) {
    if (pair.channel.accept(*numbered, batch)) handle_message(numbered->message, pair, batch);
  }
  if (const auto* heartbeat = std::get_if<api::Heartbeat>(&event.frame.body)) {
    if (heartbeat->accounts) pair.channel.hear(*heartbeat->accounts, event.frame.acknowledge);
    if (heartbeat->note) hear(*heartbeat->note, pair, batch);
  }
  pair.channel.hear(event.frame.mark);
  // The body comes first: a refusal in it must be known before the acknowledgement makes a success of it.
  if (pair.channel.open() && pair.channel.acknowledge(event.frame.acknowledge, batch)) {
    service_.acknowledged(pair.peer(), event.frame.acknowledge, assignments_, batch);
  }
}

void Engine::greet(const api::Hello& hello, Pair& pair, Batch& batch) {
  const auto greeting = pair.greet(hello, batch);
  if (greeting == Channel::Greeting::kRefused) return;
  if (greeting == Channel::Greeting::kPutBack) {
    return burn_what_is_stored(hello.heard.ordinal, fmt::format("{} has heard of a later one", pair.peer().str()),
                               batch);
  }
  reconciliation_.heard(pair.peer());
  pair.learn_peer_ids();
  const bool afresh = greeting != Channel::Greeting::kResumed;
  if (afresh) service_.abandon(pair.peer(), assignments_, batch);
  for (auto& [link, exchange] : links_) {
    if (exchange.peer() != pair.peer()) continue;
    if (afresh) exchange.forget_offers();
    exchange.offer_all(pair, batch);
  }
}

// The operators of two ends need not change their links at the same moment.
void Engine::to_no_link(const api::BlockOffer& offer, Pair& pair, Batch& batch) {
  batch.notice(NoticeKind::kBlockRefused, offer.link.str(),
               fmt::format("{} offers blocks of this link, which we do not have", pair.peer().str()));
  pair.channel.post(api::BlockReject{offer.link, offer.block, api::BlockRejectReason::kRefused}, batch);
}

// After a start without the link. The peer has the block's bits in the reservoir, and we no longer know whether ours
// are to be shared with this peer.
void Engine::to_no_link(const api::BlockAccept& accept, Pair& pair, Batch& batch) {
  pair.channel.diverged({Divergence::kBlockUnknown,
                         fmt::format("it accepts a block of link {}, which we do not have", accept.link.str())},
                        batch);
}

// What it rejects stays in the store.
void Engine::to_no_link(const api::BlockReject& reject, Pair& pair, Batch& batch) {
  if (reject.reason == api::BlockRejectReason::kMismatch) pair.channel.diverged(quarantined_alone(reject), batch);
}

template <class BlockMessage>
void Engine::to_link(const BlockMessage& message, Pair& pair, Batch& batch) {
  const auto link = links_.find(message.link);
  if (link == links_.end()) return to_no_link(message, pair, batch);
  if (link->second.peer() != pair.peer()) {
    pair.channel.close(fmt::format("it speaks of link {}, which we do not share", message.link.str()),
                       NoticeKind::kProtocolError, batch);
    return;
  }
  link->second.handle(message, pair, batch);
}

void Engine::handle_message(const api::Message& message, Pair& pair, Batch& batch) {
  struct Visitor {
    Engine& engine;
    Pair& pair;
    Batch& batch;
    void operator()(const api::BlockOffer& m) { engine.to_link(m, pair, batch); }
    void operator()(const api::BlockAccept& m) { engine.to_link(m, pair, batch); }
    void operator()(const api::BlockReject& m) { engine.to_link(m, pair, batch); }
    void operator()(const api::Assign& m) { engine.service_.handle(m, pair, engine.assignments_, batch); }
    void operator()(const api::AssignRefuse& m) { engine.service_.handle(m, pair, engine.assignments_, batch); }
    void operator()(const api::Void& m) { engine.service_.handle(m, pair, engine.assignments_, batch); }
    void operator()(const api::ExtentRequest& m) {
      if (engine.reconciliation_.done(*engine.policy_, batch.now)) pair.handle(m, batch);  // else it will ask again
    }
    void operator()(const api::ExtentGive& m) { pair.handle(m, batch); }
    void operator()(const api::Burn& m) { pair.handle(m, batch); }
  };
  std::visit(Visitor{*this, pair, batch}, message);
}

void Engine::on(BlockArrived event, Batch& batch) {
  const auto link = links_.find(event.link);
  if (link == links_.end() || !policy_->links.contains(event.link)) return;
  link->second.arrived(event.block, std::move(event.bits), pairs_.at(link->second.peer()), batch);
}

void Engine::on(DriverNote event, Batch& batch) {
  const auto link = links_.find(event.link);
  if (link == links_.end()) return;
  pairs_.at(link->second.peer()).channel.tell(api::LinkNote{event.link, std::move(event.bytes)}, batch);
}

// Of a link that we do not share with this peer, or not any more: nobody waits for it.
void Engine::hear(const api::LinkNote& note, const Pair& pair, Batch& batch) const {
  const auto link = links_.find(note.link);
  if (link == links_.end() || link->second.peer() != pair.peer()) return;
  batch.effects.notes.push_back({note.link, note.bytes});
}

void Engine::on(Tick, Batch& batch) {
  service_.expire_requests(assignments_, batch);
  for (auto& [peer, pair] : pairs_) {
    pair.channel.tick(policy_->timing.heartbeat_ms, policy_->timing.silence_ms, batch);
    pair.ask_when_low(batch);
  }
  for (auto& [link, exchange] : links_) exchange.tell_whether_full(pairs_.at(exchange.peer()), batch);
  if (housekeeping_due(batch.now)) keep_house(batch);
}

void Engine::keep_house(Batch& batch) {
  service_.expire_keys(assignments_, batch);
  service_.audit_refusals(batch);
  // A full batch of expired keys means that there may be more: look again at the next tick.
  const bool more = batch.loaded.expired.size() >= kExpiryBatch;
  next_housekeeping_ = more ? batch.now : batch.now + kHousekeepingMs;
  for (auto& [link, exchange] : links_) exchange.expire(pairs_.at(exchange.peer()), batch);
  drop_settled_links(*policy_);
  if (batch.now >= next_demand_decay_) {
    next_demand_decay_ = batch.now + kDemandDecayMs;
    for (auto& [peer, pair] : pairs_) pair.reservoir.forget_half_of_demand();
  }
  if (batch.now >= node_stored_at_ + kStoreTimeMs) store_node(batch);
}

void Engine::on(ReportRequest event, Batch& batch) {
  Report report;
  for (const auto& [peer, pair] : pairs_) {
    if (!policy_->peers.contains(peer)) continue;
    report.reservoirs.push_back(pair.report());
  }
  for (const auto& [link, exchange] : links_) {
    if (policy_->links.contains(link)) report.links.push_back(exchange.report());
  }
  report.saes = service_.saes();
  report.requests_in_flight = service_.requests_in_flight();
  report.reconciling = !reconciliation_.done(*policy_, batch.now);
  report.time = batch.now;
  batch.effects.reports.push_back({event.token, std::move(report)});
}

// --- the batch's end
// ---------------------------------------------------------------------------------------------------------------

void Engine::store_node(Batch& batch) {
  life_.set_time(batch.now);
  node_stored_at_ = batch.now;
  batch.changes.node.emplace(copy_of(life_.node()));
}

void Engine::finish(Batch& batch) {
  if (const auto limit = service_.take_new_record_limit()) {
    life_.set_record_limit(*limit);
    store_node(batch);
  }
  for (auto& [peer, pair] : pairs_) pair.announce_burns(batch);
  if (gives_out(batch)) {
    life_.gives_out();
    store_node(batch);
  }
  assignments_.flush(batch);
  for (auto& [peer, pair] : pairs_) pair.flush(policy_->timing.compare_ms, batch);
}

}  // namespace qkms::kms
