#include "api/peer/bounds.h"

#include <algorithm>
#include <limits>

#include "api/repetition.h"

namespace qkms::api {
namespace {

// What is wrong, as a literal; null when nothing is.
using Problem = const char*;

bool all_ranges_valid(const std::vector<Range>& ranges) {
  return std::ranges::all_of(ranges, [](const Range& range) {
    return range.size > 0 && range.offset <= std::numeric_limits<std::uint32_t>::max() - range.size;
  });
}

Problem problem_in(const BlockOffer& offer) {
  if (offer.link.empty()) return "block_offer: link is missing";
  if (offer.size == 0) return "block_offer: size is 0";
  if (offer.leader_bytes > offer.size) return "block_offer: leader_bytes is above size";
  return nullptr;
}

Problem problem_in(const BlockAccept& accept) {
  return accept.link.empty() ? "block_accept: link is missing" : nullptr;
}

Problem problem_in(const BlockReject& reject) {
  if (reject.link.empty()) return "block_reject: link is missing";
  if (reject.reason < BlockRejectReason::kMismatch || reject.reason > BlockRejectReason::kRefused) {
    return "block_reject: reason is unknown";
  }
  return nullptr;
}

// The products and sums cannot overflow: 32-bit factors, and at most kMaxRangesPerMessage 32-bit terms, in 64 bits.
Problem problem_in_sizes(const Assign& assign) {
  const std::uint64_t key_bytes = std::uint64_t{assign.key_count} * assign.key_bytes;
  std::uint64_t range_bytes = 0;
  for (const Range& range : assign.ranges) range_bytes += range.size;
  if (range_bytes != key_bytes) return "assign: the ranges do not add up to key_count * key_bytes";
  if (!assign.under_pad.empty() && assign.under_pad.size() != key_bytes) return "assign: under_pad has the wrong size";
  return nullptr;
}

Problem problem_in(const Assign& assign) {
  if (assign.master.empty()) return "assign: master is missing";
  if (assign.slaves.empty() || assign.slaves.size() > kMaxSlavesPerMessage) return "assign: no slaves, or too many";
  if (std::ranges::any_of(assign.slaves, &SaeId::empty)) return "assign: a slave is empty";
  if (has_repetition(assign.slaves)) return "assign: a slave is named twice";
  if (assign.record == 0 || assign.record > kMaxRecordNumber) return "assign: record is out of range";
  if (assign.key_count == 0 || assign.key_bytes == 0) return "assign: key_count or key_bytes is 0";
  if (assign.key_count > kMaxKeysPerMessage) return "assign: too many keys";
  if (assign.life_ms == 0 || assign.life_ms > kMaxLifeMs) return "assign: life_ms is out of range";
  if (assign.ranges.empty() || assign.ranges.size() > kMaxRangesPerMessage) return "assign: no ranges, or too many";
  if (!all_ranges_valid(assign.ranges)) return "assign: a range is empty or too long";
  if (assign.under_pad.size() > kMaxUnderPadBytes) return "assign: under_pad is too long";
  return problem_in_sizes(assign);
}

Problem problem_in(const AssignRefuse& refuse) {
  const bool known =
      refuse.reason == AssignRefuseReason::kUnknownSae || refuse.reason == AssignRefuseReason::kUnreadable;
  return known ? nullptr : "assign_refuse: reason is unknown";
}

Problem problem_in(const Void&) { return nullptr; }

Problem problem_in(const ExtentRequest& request) {
  return request.wanted_bytes == 0 ? "extent_request: wanted_bytes is 0" : nullptr;
}

Problem problem_in(const ExtentGive& give) {
  if (give.extents.empty() || give.extents.size() > kMaxExtentsPerMessage)
    return "extent_give: no extents, or too many";
  return nullptr;
}

Problem problem_in(const Burn& burn) {
  if (burn.ranges.empty() || burn.ranges.size() > kMaxRangesPerMessage) return "burn: no ranges, or too many";
  return all_ranges_valid(burn.ranges) ? nullptr : "burn: a range is empty or too long";
}

Problem problem_in(const Message& message) {
  return std::visit([](const auto& kind) { return problem_in(kind); }, message);
}

// Who has none leaves the field away.
Problem problem_in(const Mark& mark) { return mark.ordinal == 0 && mark != Mark{} ? "mark: ordinal is 0" : nullptr; }

Problem problem_in(const Hello& hello) {
  if (hello.version_min == 0 || hello.version_min > hello.version_max) return "hello: the versions are no range";
  if (hello.sender.empty()) return "hello: sender is missing";
  if (hello.capabilities.size() > kMaxCapabilities) return "hello: too many capabilities";
  const auto is_name = [](const std::string& name) { return name.size() <= kMaxCapabilityBytes && is_valid_id(name); };
  if (hello.pair_epoch > kMaxPairEpoch) return "hello: pair_epoch is out of range";
  if (!std::ranges::all_of(hello.capabilities, is_name)) return "hello: a capability is no short printable name";
  return problem_in(hello.heard);
}

Problem problem_in(const Numbered& numbered) {
  return numbered.sequence == 0 ? "numbered: sequence is 0" : problem_in(numbered.message);
}

// Sums of the receiver's must not overflow over what a peer says.
Problem problem_in(const Accounts& accounts) {
  constexpr std::uint64_t kMostBits = 1ULL << 62;
  for (const Accounts::Side& side : {accounts.own, accounts.peer}) {
    if ((side.extents == 0) != (side.bits == 0)) return "accounts: bits without extents, or extents without bits";
    if (side.bits > kMostBits) return "accounts: too many bits";
  }
  if (std::max({accounts.in, accounts.macs, accounts.quarantined}) > kMostBits) return "accounts: too many bits";
  return nullptr;
}

Problem problem_in(const Heartbeat& heartbeat) {
  if (heartbeat.note && heartbeat.note->link.empty()) return "note: link is missing";
  if (heartbeat.note && heartbeat.note->bytes.size() > kMaxLinkNoteBytes) return "note: too long";
  return heartbeat.accounts ? problem_in(*heartbeat.accounts) : nullptr;
}

Result<void> to_result(Problem problem) {
  if (problem != nullptr) return fail(ErrorCode::kInvalid, problem);
  return {};
}

}  // namespace

Result<void> check_bounds(const Message& message) { return to_result(problem_in(message)); }

Result<void> check_bounds(const Frame& frame) {
  if (Result<void> mark = to_result(problem_in(frame.mark)); !mark) return mark;
  if (std::holds_alternative<Hello>(frame.body) && frame.mark.ordinal != 0)
    return fail(ErrorCode::kInvalid, "hello: it comes with a mark");
  return to_result(std::visit([](const auto& body) { return problem_in(body); }, frame.body));
}

}  // namespace qkms::api
