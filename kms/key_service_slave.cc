// The slave's side of the key service: keys that peers assign to our SAEs, and Get key with key IDs.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "kms/key_service.h"
#include "kms/planted_bug.h"

namespace qkms::kms {
namespace {

// A peer may not make us keep keys for longer than any operator can configure.
constexpr std::uint64_t kMaxLifeMs = 366ull * 24 * 3600 * 1000;

std::optional<std::size_t> place_of(const std::vector<SaeId>& slaves, const SaeId& slave) {
  const auto at = std::ranges::find(slaves, slave);
  if (at == slaves.end()) return std::nullopt;
  return static_cast<std::size_t>(at - slaves.begin());
}

Error key_not_found() { return {ErrorCode::kKeyNotFound, "one or more keys specified are not found on KME"}; }

std::uint16_t bit_of(std::size_t slave) { return static_cast<std::uint16_t>(1u << slave); }

std::uint16_t all_bits(const Assignment& assignment) {
  return static_cast<std::uint16_t>((1u << assignment.slaves.size()) - 1);
}

}  // namespace

// --- what peers assign
// -------------------------------------------------------------------------------------------------------------

void KeyService::need(const KmeId& peer, const api::Message& message, Needs& needs) const {
  const auto found = pairs_.find(peer);
  if (found == pairs_.end()) return;
  if (const auto* assign = std::get_if<api::Assign>(&message)) {
    found->second.reservoir.need(assign->ranges, needs);
  } else if (const auto* give = std::get_if<api::ExtentGive>(&message)) {
    found->second.reservoir.need(give->extents, needs);
  } else if (const auto* withdrawn = std::get_if<api::Void>(&message)) {
    needs.assignments.insert({peer, withdrawn->record});
  }
}

void KeyService::handle(const api::Assign& assign, Pair& pair, Assignments& assignments, Batch& batch) {
  const bool padded = !assign.under_pad.empty();
  const std::uint64_t bytes = std::uint64_t{assign.key_count} * assign.key_bytes;
  if (!pair.channel.accept_record(assign.record))
    return pair.channel.diverged({Divergence::kRecordRepeated, "it assigns a record number that is not new"}, batch);
  auto bits = pair.reservoir.follow(assign.ranges, padded ? Purpose::kPad : Purpose::kDelivery, batch);
  if (!bits && bits.error().code == ErrorCode::kInvalid)
    return pair.channel.diverged({Divergence::kRangeNotAtFront, bits.error().text}, batch);
  if (!bits) {
    pair.channel.post(api::AssignRefuse{assign.record, api::AssignRefuseReason::kUnreadable}, batch);
    return;
  }
  const KmeId* master_home = policy_->home_of(assign.master);
  const bool serves = master_home != nullptr && *master_home == pair.peer() &&
                      std::ranges::all_of(assign.slaves, [&](const SaeId& slave) {
                        const KmeId* home = policy_->home_of(slave);
                        return home != nullptr && *home == policy_->self && policy_->allows(assign.master, slave);
                      });
  if (!serves || bits->size() != bytes || (padded && assign.under_pad.size() != bytes) ||
      assign.slaves.size() > kMaxSlavesPerKme) {
    batch.notice(NoticeKind::kAssignRefused, pair.peer().str(),
                 fmt::format("it assigns keys of master {} to SAEs that we do not serve for it", assign.master.str()));
    batch.cause(pair.peer(), "the peer assigned them to SAEs that we do not serve for it");
    if (!padded) pair.reservoir.move(bits->size(), &Ledger::held, &Ledger::burned);
    pair.channel.post(api::AssignRefuse{assign.record, api::AssignRefuseReason::kUnknownSae}, batch);
    return;
  }
  const auto out = bits->reveal_mutable();
  for (std::size_t i = 0; i < assign.under_pad.size(); ++i) out[i] ^= assign.under_pad[i];
  const auto life = static_cast<Millis>(std::min(assign.life_ms, kMaxLifeMs));
  assignments.put({pair.peer(), assign.record, assign.master, assign.slaves, assign.key_count, assign.key_bytes,
                   batch.now + life, !padded, std::vector<std::uint16_t>(assign.key_count, 0), std::move(*bits)});
}

void KeyService::handle(const api::Void& withdrawn, Pair& pair, Assignments& assignments, Batch& batch) {
  const AssignmentId id{pair.peer(), withdrawn.record};
  const Assignment* assignment = assignments.find(id);
  if (assignment == nullptr) return;
  batch.notice(NoticeKind::kRecordVoided, pair.peer().str(),
               fmt::format("{} keys are withdrawn", assignment->key_count));
  batch.cause(pair.peer(), "the peer withdrew keys that nobody had fetched");
  retire(*assignment, &Ledger::burned);
  assignments.drop(id);
}

// The assignment goes with keys that nobody has fetched: they leave `held` for the given column.
void KeyService::retire(const Assignment& assignment, std::uint64_t Ledger::* column) {
  const auto pair = pairs_.find(assignment.issuer);
  if (!assignment.on_ledger || pair == pairs_.end()) return;
  const auto unfetched = static_cast<std::uint64_t>(std::ranges::count(assignment.fetched, 0));
  if (unfetched > 0) pair->second.reservoir.move(unfetched * assignment.key_bytes, &Ledger::held, column);
}

void KeyService::audit_expiry(const Assignment& assignment, Batch& batch) {
  api::AuditRecord record{.action = api::AuditAction::kExpiry, .actor = assignment.master.str()};
  const KeyIdCodec* ids = ids_of(assignment.issuer);
  // An older version has taken what a peer said without looking; such a row has no key IDs that anybody could ask for.
  const bool has_ids =
      ids != nullptr && assignment.record <= kMaxRecord && assignment.key_count <= api::kMaxKeysPerMessage;
  const auto all = has_ids ? ids->encode(assignment.record, assignment.key_count) : std::vector<KeyId>();
  for (std::uint32_t i = 0; i < assignment.key_count; ++i) {
    if (assignment.fetched[i] == all_bits(assignment)) continue;
    if (!all.empty()) record.keys.push_back(all[i]);
    record.bits += std::uint64_t{assignment.key_bytes} * 8;
  }
  record.reason = "not fetched in time by every slave";
  batch.audit(std::move(record));
}

void KeyService::expire_keys(Assignments& assignments, Batch& batch) {
  std::uint64_t keys = 0;
  for (const AssignmentId& id : batch.loaded.expired) {
    const Assignment* assignment = assignments.find(id);
    if (assignment == nullptr || assignment->expires_at > batch.now) continue;
    retire(*assignment, &Ledger::expired);
    audit_expiry(*assignment, batch);
    keys += assignment->key_count;
    assignments.drop(id);
  }
  if (keys > 0)
    batch.notice(NoticeKind::kKeysExpired, policy_->self.str(), fmt::format("{} keys were not fetched in time", keys));
}

// --- Get key with key IDs
// ----------------------------------------------------------------------------------------------------------

const KeyIdCodec* KeyService::ids_of(const KmeId& issuer) const {
  if (issuer == policy_->self) return &own_ids_;
  const auto pair = pairs_.find(issuer);
  return pair == pairs_.end() ? nullptr : pair->second.peer_ids();
}

// Where each key is, if the caller may have them all. Nothing is consumed otherwise (shared decision 9): one foreign ID
// makes it kUnauthorised, one unknown ID kKeyNotFound, and the first comes before the second.
Result<std::vector<KeyPlace>> KeyService::entitled(const KeyIdsRequest& request, const KmeId& issuer,
                                                   const Assignments& assignments, Millis now) const {
  const KeyIdCodec* ids = ids_of(issuer);
  std::vector<KeyPlace> places;
  bool foreign = false;
  bool unknown = ids == nullptr;
  for (const KeyId& id : request.key_ids) {
    const auto place = ids == nullptr ? std::nullopt : ids->decode(id);
    const Assignment* assignment = place ? assignments.find({issuer, place->record}) : nullptr;
    if (assignment == nullptr || assignment->expires_at <= now || assignment->master != request.master ||
        place->index >= assignment->key_count) {
      unknown = true;
      continue;
    }
    const auto slave =
        planted(Bug::kSkipEntitlement) ? std::optional<std::size_t>(0) : place_of(assignment->slaves, request.caller);
    if (!slave) {
      foreign = true;
    } else if ((assignment->fetched[place->index] & bit_of(*slave)) != 0) {
      unknown = true;
    }
    places.push_back(*place);
  }
  if (foreign) return fail(ErrorCode::kUnauthorised, "");
  if (unknown) return std::unexpected(key_not_found());
  return places;
}

// Held back, so that the time tells nothing about why.
void KeyService::refuse_ids(RequestToken token, const SaeId& caller, Error error, Batch& batch) {
  ++counts_[caller].misses;
  if (error.code == ErrorCode::kUnauthorised) {
    batch.notice(NoticeKind::kNotEntitled, caller.str(), "asks for keys that were not meant for it");
    if (policy_->foreign_key == ForeignKey::kNotFound) error = key_not_found();
  }
  if (late_.waiting() >= policy_->capacity.max_requests_in_flight)  // whatever the reason is, so this tells none either
    return refuse(token, caller, {ErrorCode::kOverloaded, "too many refusals wait for their time"}, batch);
  refusals_.count(caller, error.code);
  late_.miss(caller, token, std::move(error), batch.now);
}

void KeyService::fetch(Assignment& assignment, std::uint32_t index, const SaeId& slave, std::span<std::uint8_t> out) {
  const auto bits =
      assignment.bits.reveal_mutable().subspan(std::size_t{index} * assignment.key_bytes, assignment.key_bytes);
  std::ranges::copy(bits, out.begin());
  if (assignment.fetched[index] == 0 && assignment.on_ledger) {
    const auto pair = pairs_.find(assignment.issuer);
    if (pair != pairs_.end()) pair->second.reservoir.move(assignment.key_bytes, &Ledger::held, &Ledger::delivered);
  }
  assignment.fetched[index] |= bit_of(place_of(assignment.slaves, slave).value_or(0));
  if (assignment.fetched[index] == all_bits(assignment)) wipe(bits);
}

void KeyService::get_by_ids(RequestToken token, const KeyIdsRequest& request, Assignments& assignments, Batch& batch) {
  if (request.caller == request.master) return refuse(token, request.caller, own_id_error(), batch);
  if (request.key_ids.empty() || request.key_ids.size() > policy_->keys.max_keys_per_request) {
    return refuse(token, request.caller,
                  {ErrorCode::kInvalid, fmt::format("key_IDs has {} entries; accepted: 1 to {}", request.key_ids.size(),
                                                    policy_->keys.max_keys_per_request)},
                  batch);
  }
  if (std::set(request.key_ids.begin(), request.key_ids.end()).size() != request.key_ids.size()) {
    return refuse(token, request.caller, {ErrorCode::kInvalid, "key_IDs names a key twice"}, batch);
  }
  if (!reconciliation_.done(*policy_, batch.now)) return refuse(token, request.caller, not_reconciled(), batch);
  const KmeId* issuer = policy_->home_of(request.master);
  if (issuer == nullptr) return refuse_ids(token, request.caller, key_not_found(), batch);
  auto places = entitled(request, *issuer, assignments, batch.now);
  if (!places) return refuse_ids(token, request.caller, std::move(places.error()), batch);
  counts_[request.caller].fetched += request.key_ids.size();
  KeysReply reply;
  reply.ids = request.key_ids;
  std::size_t bytes = 0;
  for (const KeyPlace& place : *places)
    bytes += reply.sizes.emplace_back(assignments.find({*issuer, place.record})->key_bytes);
  reply.bits = SecretBytes(bytes);
  auto out = reply.bits.reveal_mutable();
  for (std::size_t i = 0; i < places->size(); ++i) {
    const AssignmentId id{*issuer, (*places)[i].record};
    Assignment& assignment = *assignments.touch(id);
    fetch(assignment, (*places)[i].index, request.caller, out.first(reply.sizes[i]));
    out = out.subspan(reply.sizes[i]);
  }
  for (const KeyPlace& place : *places) {
    const AssignmentId id{*issuer, place.record};
    const Assignment* assignment = assignments.find(id);
    const bool done = assignment != nullptr && std::ranges::all_of(assignment->fetched, [&](std::uint16_t who) {
                        return who == all_bits(*assignment);
                      });
    if (done) assignments.drop(id);
  }
  if (planted(Bug::kSwapKeys) && reply.sizes.size() > 1 && reply.sizes[0] == reply.sizes[1]) {
    const auto bits = reply.bits.reveal_mutable();
    std::ranges::swap_ranges(bits.first(reply.sizes[0]), bits.subspan(reply.sizes[0], reply.sizes[0]));
  }
  batch.audit({.action = api::AuditAction::kKeysToSlave,
               .actor = request.caller.str(),
               .subject = request.master.str(),
               .keys = request.key_ids,
               .bits = bytes * 8});
  batch.reply(token, std::move(reply));
}

}  // namespace qkms::kms
