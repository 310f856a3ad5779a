// The master's side: Get status and Get key. The slave's side is in key_service_slave.cc.
#include "kms/key_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "kms/planted_bug.h"

namespace qkms::kms {
namespace {

// Record numbers are reserved in the store by this many at a time, so that most requests need not write the node's row.
constexpr std::uint64_t kRecordsReserved = 4096;

}  // namespace

KeyService::KeyService(const Policy& policy, Pairs& pairs, Random& random, Reconciliation& reconciliation,
                       const NodeRow& node)
    : policy_(&policy),
      pairs_(pairs),
      random_(random),
      reconciliation_(reconciliation),
      usage_(policy),
      own_ids_(node.id_key.reveal().first<kIdKeyBytes>()),
      next_record_(node.record_limit),
      record_limit_(node.record_limit) {
  make_reserves();
}

void KeyService::make_reserves() {
  std::map<KmeId, std::map<Reserves::PairOf, std::uint64_t>> floors;
  for (const auto& [pair, terms] : policy_->pair_terms) {
    const KmeId* home = policy_->home_of(pair.second);
    if (terms.reserve_bytes > 0 && home != nullptr && serves(pair.first))
      floors[*home].emplace(pair, terms.reserve_bytes);
  }
  reserves_.clear();
  for (const auto& [peer, of_peer] : floors) reserves_.emplace(peer, Reserves(of_peer));
}

bool KeyService::serves(const SaeId& sae) const {
  const KmeId* home = policy_->home_of(sae);
  return home != nullptr && *home == policy_->self;
}

std::uint64_t KeyService::next_record() {
  if (next_record_ == record_limit_) {
    record_limit_ += kRecordsReserved;
    new_record_limit_ = record_limit_;
  }
  return next_record_++;
}

std::vector<RequestToken> KeyService::tokens_in_flight() const {
  std::vector<RequestToken> tokens;
  for (const auto& [record, flight] : in_flight_) tokens.push_back(flight.token);
  std::ranges::copy(late_.tokens(), std::back_inserter(tokens));
  return tokens;
}

const SaeId& KeyService::caller_of(const SaeRequest& request) {
  return std::visit([](const auto& any) -> const SaeId& { return any.caller; }, request);
}

// The slave of a master's request.
const SaeId* KeyService::slave_of(const SaeRequest& request) {
  if (const auto* status_request = std::get_if<StatusRequest>(&request)) return &status_request->slave;
  if (const auto* key_request = std::get_if<KeyRequest>(&request)) return &key_request->slave;
  return nullptr;
}

void KeyService::handle(RequestToken token, const SaeRequest& request, Assignments& assignments, Batch& batch) {
  const SaeId& caller = caller_of(request);
  if (!serves(caller)) return refuse(token, caller, {ErrorCode::kUnauthorised, ""}, batch);
  auto admitted = usage_.check_request(caller, slave_of(request), batch.now);
  if (!admitted) return refuse(token, caller, std::move(admitted.error()), batch);
  usage_.charge_request(caller, slave_of(request), batch.now);
  if (const auto* status_request = std::get_if<StatusRequest>(&request)) {
    SaeReply reply = status(*status_request, batch.now);
    if (auto* error = std::get_if<Error>(&reply)) return refuse(token, caller, std::move(*error), batch);
    batch.reply(token, std::move(reply));
  } else if (const auto* key_request = std::get_if<KeyRequest>(&request)) {
    get_key(token, *key_request, assignments, batch);
  } else {
    get_by_ids(token, std::get<KeyIdsRequest>(request), assignments, batch);
  }
}

void KeyService::refuse(RequestToken token, const SaeId& caller, Error error, Batch& batch) {
  if (error.code == ErrorCode::kRateLimited || error.code == ErrorCode::kOverQuota ||
      error.code == ErrorCode::kReserved) {
    ++counts_[caller].limited;
    batch.notice(NoticeKind::kLimited, caller.str(), error.text);
  }
  refusals_.count(caller, error.code);
  batch.reply(token, std::move(error));
}

void KeyService::need(const SaeRequest& request, Millis now, std::map<KmeId, Demand>& demands, Needs& needs) const {
  const SaeId& caller = caller_of(request);
  if (!serves(caller) || !usage_.check_request(caller, slave_of(request), now)) return;  // it will be refused
  if (const auto* key_request = std::get_if<KeyRequest>(&request)) {
    const auto planned = plan_keys(*policy_, *key_request);
    if (!planned || !usage_.check_keys(caller, planned->slaves, planned->key_count, planned->bits(), now)) return;
    for (const auto& [kme, slaves] : planned->remote) {
      Demand& demand = demands[kme];
      demand.bytes += planned->bytes();
      for (const auto& age : {key_request->must.max_age_ms, key_request->prefer.max_age_ms}) {
        if (!age) continue;
        demand.fresh_bytes += planned->bytes();
        demand.fresh_since = std::min(demand.fresh_since, now - *age);
      }
    }
  } else if (const auto* ids_request = std::get_if<KeyIdsRequest>(&request)) {
    const KmeId* issuer = policy_->home_of(ids_request->master);
    const KeyIdCodec* ids = issuer == nullptr ? nullptr : ids_of(*issuer);
    if (ids == nullptr) return;
    for (const KeyId& id : ids_request->key_ids) {
      if (const auto place = ids->decode(id)) needs.assignments.insert({*issuer, place->record});
    }
  }
}

// --- Get status
// --------------------------------------------------------------------------------------------------------------------

SaeReply KeyService::status(const StatusRequest& request, Millis now) {
  if (request.slave == request.caller) return own_id_error();
  const KmeId* home = policy_->home_of(request.slave);
  if (home == nullptr) return Error{ErrorCode::kInvalid, "the slave SAE is not known"};
  if (!policy_->allows(request.caller, request.slave)) return Error{ErrorCode::kUnauthorised, ""};
  const KeyLimits& keys = policy_->keys;
  std::uint64_t count = keys.max_key_count;
  if (*home != policy_->self) {
    const auto pair = pairs_.find(*home);
    const bool reachable = pair != pairs_.end() && pair->second.channel.open() && reconciliation_.done(*policy_, now);
    count = reachable ? open_to(*home, request.caller, request.slave) * 8 / keys.default_key_bits : 0;
  }
  const std::uint64_t left = usage_.bits_left(request.caller, request.slave, keys.default_key_bits, now);
  count = std::min(count, left / keys.default_key_bits);
  const auto stored = static_cast<std::uint32_t>(std::min<std::uint64_t>(count, keys.max_key_count));
  return StatusReply{policy_->self,
                     *home,
                     request.caller,
                     request.slave,
                     keys.default_key_bits,
                     stored,
                     keys.max_key_count,
                     keys.max_keys_per_request,
                     keys.max_key_bits,
                     keys.min_key_bits,
                     keys.max_additional_slaves};
}

// --- Get key: may it, and can it
// ---------------------------------------------------------------------------------------------------------------

// What a pair may take of our part of a reservoir, in bytes.
std::uint64_t KeyService::open_to(const KmeId& kme, const SaeId& master, const SaeId& slave) {
  const std::uint64_t available = pairs_.at(kme).reservoir.available(Owner::kSelf);
  const auto reserves = reserves_.find(kme);
  return reserves == reserves_.end() ? available : reserves->second.open_to({master, slave}, available);
}

// All-or-nothing (shared decision 1): every reservoir is looked at before any is touched.
Result<void> KeyService::check_room(const KeyPlan& plan, Millis now) {
  if (in_flight_.size() >= policy_->capacity.max_requests_in_flight)
    return fail(ErrorCode::kOverloaded, "too many requests wait for other KMEs");
  // Bits that a forgotten life has taken may be with any peer, not only with the one that shares them.
  if (!plan.remote.empty() && !reconciliation_.done(*policy_, now)) return std::unexpected(not_reconciled());
  for (const auto& [kme, slaves] : plan.remote) {
    const auto found = pairs_.find(kme);
    if (found == pairs_.end()) return fail(ErrorCode::kNoRoute, "there is no link towards the slave's KME");
    const Pair& pair = found->second;
    if (!pair.channel.open()) return fail(ErrorCode::kPeerUnreachable, "the slave's KME cannot be reached");
    if (pair.channel.outbox_size() >= policy_->capacity.max_outbox)
      return fail(ErrorCode::kOverloaded, "the slave's KME does not keep up");
    if (pair.reservoir.available(Owner::kSelf) < plan.bytes())
      return fail(ErrorCode::kPoolExhausted, "not enough key in the reservoir");
    if (open_to(kme, plan.master, slaves.front()) < plan.bytes())
      return fail(ErrorCode::kReserved, "the key that is left is reserved for others");
  }
  return {};
}

bool KeyService::all_since(const KeyPlan& plan, Millis not_before) const {
  return std::ranges::all_of(
      plan.remote, [&](const auto& leg) { return pairs_.at(leg.first).reservoir.has_since(plan.bytes(), not_before); });
}

// From which moment on bits will do for this request.
Result<Millis> KeyService::choose_age(const KeyRequest& request, const KeyPlan& plan, Millis now) const {
  if (const auto age = request.prefer.max_age_ms; age && all_since(plan, now - *age)) {
    if (!request.must.max_age_ms || *age <= *request.must.max_age_ms) return now - *age;
  }
  if (!request.must.max_age_ms) return kAnyAge;
  const Millis not_before = now - *request.must.max_age_ms;
  if (!all_since(plan, not_before)) return fail(ErrorCode::kExtensionUnmet, "");
  return not_before;
}

// --- Get key: doing it
// -------------------------------------------------------------------------------------------------------------

void KeyService::get_key(RequestToken token, const KeyRequest& request, Assignments& assignments, Batch& batch) {
  const auto refused = [&](Error error) { refuse(token, request.caller, std::move(error), batch); };
  auto plan = plan_keys(*policy_, request);
  if (!plan) return refused(std::move(plan.error()));
  auto within = usage_.check_keys(plan->master, plan->slaves, plan->key_count, plan->bits(), batch.now);
  if (!within) return refused(std::move(within.error()));
  if (auto room = check_room(*plan, batch.now); !room) return refused(std::move(room.error()));
  auto not_before = choose_age(request, *plan, batch.now);
  if (!not_before) return refused(std::move(not_before.error()));
  auto taken = take_for(*plan, *not_before, batch);
  if (!taken) return refused(std::move(taken.error()));
  usage_.charge_keys(plan->master, plan->slaves, plan->key_count, plan->bits(), batch.now);
  start(token, *plan, std::move(*taken), assignments, batch);
}

// One Taken for each remote KME: from the first the keys themselves, from the others the pad over them. When a later
// one fails, what was taken before it is burned: the peer has to be told the same.
Result<std::vector<Taken>> KeyService::take_for(const KeyPlan& plan, Millis not_before, Batch& batch) {
  std::vector<Taken> taken;
  for (const auto& [kme, slaves] : plan.remote) {
    Pair& pair = pairs_.at(kme);
    const Purpose purpose = taken.empty() ? Purpose::kDelivery : Purpose::kPad;
    auto part = pair.reservoir.take(plan.bytes(), purpose, not_before, batch);
    if (part) {
      const auto reserves = reserves_.find(kme);
      if (reserves != reserves_.end()) reserves->second.taken({plan.master, slaves.front()}, plan.bytes());
      taken.push_back(std::move(*part));
      continue;
    }
    for (std::size_t i = 0; i < taken.size(); ++i) {
      Pair& before = pairs_.at(plan.remote[i].first);
      before.reservoir.move(plan.bytes(), i == 0 ? &Ledger::in_flight : &Ledger::pads, &Ledger::burned);
      before.channel.post(api::Burn{std::move(taken[i].ranges)}, batch);
      batch.cause(before.peer(), "another of the request's KMEs had too few");
    }
    return std::unexpected(part.error());
  }
  return taken;
}

namespace {

std::string names_of(const KeyPlan& plan) {
  std::string names;
  const auto add = [&names](const SaeId& sae) { names += (names.empty() ? "" : ", ") + sae.str(); };
  std::ranges::for_each(plan.local, add);
  for (const auto& [kme, slaves] : plan.remote) std::ranges::for_each(slaves, add);
  return names;
}

}  // namespace

void KeyService::start(RequestToken token, const KeyPlan& plan, std::vector<Taken> taken, Assignments& assignments,
                       Batch& batch) {
  const std::uint64_t record = next_record();
  InFlight flight;
  flight.token = token;
  flight.master = plan.master;
  flight.slaves = names_of(plan);
  flight.deadline = batch.now + policy_->timing.request_deadline_ms;
  flight.keys.ids = own_ids_.encode(record, plan.key_count);
  flight.keys.sizes.assign(plan.key_count, plan.key_bytes);
  if (taken.empty()) {
    // Master and slaves are all served here: the bits never travel between sites, so they are drawn here.
    flight.keys.bits = SecretBytes(plan.bytes());
    random_.fill(flight.keys.bits.reveal_mutable());
  } else {
    flight.bits_from = plan.remote.front().first;
    flight.keys.bits = std::move(taken.front().bits);
  }
  if (!plan.local.empty()) keep_local(plan, record, flight.keys.bits, assignments, batch);
  for (std::size_t leg = 0; leg < taken.size(); ++leg)
    send_leg(plan, leg, record, std::move(taken[leg]), flight, batch);
  if (flight.waiting.empty() || planted(Bug::kAnswerBeforePeer)) {
    complete(std::move(flight), batch);
  } else {
    in_flight_.emplace(record, std::move(flight));
  }
}

void KeyService::send_leg(const KeyPlan& plan, std::size_t leg, std::uint64_t record, Taken taken, InFlight& flight,
                          Batch& batch) {
  const auto& [kme, slaves] = plan.remote[leg];
  api::Assign assign{record,
                     plan.master,
                     slaves,
                     plan.key_count,
                     plan.key_bytes,
                     static_cast<std::uint64_t>(policy_->keys.key_life_ms),
                     std::move(taken.ranges),
                     {}};
  if (leg > 0) {
    const auto pad = taken.bits.reveal();
    const auto keys = flight.keys.bits.reveal();
    assign.under_pad.resize(pad.size());
    std::ranges::transform(keys, pad, assign.under_pad.begin(),
                           [](std::uint8_t a, std::uint8_t b) { return static_cast<std::uint8_t>(a ^ b); });
  }
  const std::uint64_t sequence = pairs_.at(kme).channel.post(std::move(assign), batch);
  flight.waiting.push_back({kme, sequence});
  flight.told.push_back(kme);
  by_sequence_[kme].emplace(sequence, record);
}

void KeyService::keep_local(const KeyPlan& plan, std::uint64_t record, const SecretBytes& bits,
                            Assignments& assignments, Batch& batch) {
  Assignment assignment;
  assignment.issuer = policy_->self;
  assignment.record = record;
  assignment.master = plan.master;
  assignment.slaves = plan.local;
  assignment.key_count = plan.key_count;
  assignment.key_bytes = plan.key_bytes;
  assignment.expires_at = batch.now + policy_->keys.key_life_ms;
  assignment.fetched.assign(plan.key_count, 0);
  assignment.bits = bits.slice(0, bits.size());
  assignments.put(std::move(assignment));
}

// --- Get key: how it ends
// ----------------------------------------------------------------------------------------------------------

void KeyService::complete(InFlight flight, Batch& batch) {
  if (flight.bits_from)
    pairs_.at(*flight.bits_from).reservoir.move(flight.keys.bits.size(), &Ledger::in_flight, &Ledger::delivered);
  counts_[flight.master].keys += flight.keys.ids.size();
  batch.audit({.action = api::AuditAction::kKeysToMaster,
               .actor = flight.master.str(),
               .subject = std::move(flight.slaves),
               .keys = flight.keys.ids,
               .bits = flight.keys.bits.size() * 8});
  batch.reply(flight.token, std::move(flight.keys));
}

void KeyService::acknowledged(const KmeId& peer, std::uint64_t number, Assignments&, Batch& batch) {
  auto& sequences = by_sequence_[peer];
  while (!sequences.empty() && sequences.begin()->first <= number) {
    const std::uint64_t record = sequences.begin()->second;
    sequences.erase(sequences.begin());
    const auto found = in_flight_.find(record);
    if (found == in_flight_.end()) continue;  // it has failed meanwhile
    std::erase_if(found->second.waiting, [&](const Leg& leg) { return leg.peer == peer; });
    if (!found->second.waiting.empty()) continue;
    InFlight flight = std::move(found->second);
    in_flight_.erase(found);
    complete(std::move(flight), batch);
  }
}

void KeyService::fail_request(std::uint64_t record, Error error, Assignments& assignments, Batch& batch) {
  const auto found = in_flight_.find(record);
  if (found == in_flight_.end()) return;
  const InFlight flight = std::move(found->second);
  in_flight_.erase(found);
  if (flight.bits_from) batch.cause(*flight.bits_from, fmt::format("a request failed: {}", error.text));
  refuse(flight.token, flight.master, std::move(error), batch);
  if (planted(Bug::kForgetBurn)) return;
  if (flight.bits_from)
    pairs_.at(*flight.bits_from).reservoir.move(flight.keys.bits.size(), &Ledger::in_flight, &Ledger::burned);
  for (const KmeId& kme : flight.told) {
    pairs_.at(kme).channel.post(api::Void{record}, batch);
  }
  assignments.drop({policy_->self, record});
}

void KeyService::handle(const api::AssignRefuse& refuse, Pair& pair, Assignments& assignments, Batch& batch) {
  const bool unreadable = refuse.reason == api::AssignRefuseReason::kUnreadable;
  batch.notice(NoticeKind::kAssignRefused, pair.peer().str(),
               unreadable ? "the peer cannot read its copy of the bits; we burn ours"
                          : "the peer does not serve an SAE that our configuration places there");
  if (unreadable) pair.burn_extents_of(refuse.record, batch);
  const auto asked = in_flight_.find(refuse.record);
  if (asked == in_flight_.end() || !std::ranges::count(asked->second.told, pair.peer()))
    return;  // not asked, not heard
  fail_request(refuse.record,
               {unreadable ? ErrorCode::kPeerUnreachable : ErrorCode::kNoRoute, "the slave's KME refused"}, assignments,
               batch);
}

void KeyService::abandon(const KmeId& peer, Assignments& assignments, Batch& batch) {
  for (const auto& [sequence, record] : std::exchange(by_sequence_[peer], {})) {
    fail_request(record, {ErrorCode::kPeerUnreachable, "the slave's KME has started afresh"}, assignments, batch);
  }
}

void KeyService::expire_requests(Assignments& assignments, Batch& batch) {
  std::vector<std::uint64_t> due;
  for (const auto& [record, flight] : in_flight_) {
    if (flight.deadline <= batch.now) due.push_back(record);
  }
  for (const std::uint64_t record : due) {
    fail_request(record, {ErrorCode::kPeerUnreachable, "the slave's KME did not confirm in time"}, assignments, batch);
  }
  for (auto& [token, error] : late_.due(batch.now)) batch.reply(token, std::move(error));
}

void KeyService::withdraw_unanswered(const std::vector<OutboxRow>& outbox, Assignments& assignments, Batch& batch) {
  std::set<std::pair<KmeId, std::uint64_t>> withdrawn;
  for (const OutboxRow& row : outbox) {
    if (const auto* already = std::get_if<api::Void>(&row.message)) withdrawn.emplace(row.peer, already->record);
  }
  for (const OutboxRow& row : outbox) {
    const auto* assign = std::get_if<api::Assign>(&row.message);
    const auto pair = pairs_.find(row.peer);
    if (assign == nullptr || pair == pairs_.end()) continue;
    if (planted(Bug::kForgetAbsentPeer) && !policy_->peers.contains(row.peer)) continue;
    assignments.drop({policy_->self, assign->record});
    if (withdrawn.emplace(row.peer, assign->record).second) pair->second.channel.post(api::Void{assign->record}, batch);
  }
  for (auto& [kme, pair] : pairs_) {
    if (planted(Bug::kForgetAbsentPeer) && !policy_->peers.contains(kme)) continue;
    if (const std::uint64_t bits = pair.reservoir.ledger().in_flight; bits > 0) {
      pair.reservoir.move(bits / 8, &Ledger::in_flight, &Ledger::burned);
      batch.cause(kme, "a restart interrupted requests");
    }
  }
}

void KeyService::forget_peer(const KmeId& peer, Assignments& assignments, Batch& batch) {
  std::vector<std::uint64_t> records;
  for (const auto& [record, flight] : in_flight_) {
    if (std::ranges::find(flight.told, peer) != flight.told.end()) records.push_back(record);
  }
  for (const std::uint64_t record : records)
    fail_request(record, {ErrorCode::kNoRoute, "the slave's KME is no peer any more"}, assignments, batch);
  by_sequence_.erase(peer);
}

void KeyService::replace_policy(const Policy& policy) {
  policy_ = &policy;
  usage_.replace_policy(policy);
  make_reserves();
}

}  // namespace qkms::kms
