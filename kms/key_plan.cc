#include "kms/key_plan.h"

#include <fmt/format.h>

#include <algorithm>

namespace qkms::kms {
namespace {

constexpr std::uint64_t kNoNumber = UINT64_MAX;  // no JSON integer is so large: the text had something else

std::string shown(std::uint64_t value) {
  return value == kNoNumber ? "is no integer, or one far too large" : fmt::format("is {}", value);
}

Result<void> plan_sizes(const KeyLimits& keys, const KeyRequest& request, KeyPlan& plan) {
  const std::uint64_t number = request.number.value_or(1);
  const std::uint64_t size_bits = request.size_bits.value_or(keys.default_key_bits);
  // §6.2 names this condition and its message, so it comes before the bounds, which are our own.
  if (size_bits != kNoNumber && size_bits % 8 != 0)
    return fail(ErrorCode::kSizeNotMultipleOf8, "size shall be a multiple of 8");
  if (size_bits < keys.min_key_bits || size_bits > keys.max_key_bits) {
    return fail(ErrorCode::kInvalid, fmt::format("size {}; accepted: an integer, {} to {} bits", shown(size_bits),
                                                 keys.min_key_bits, keys.max_key_bits));
  }
  if (number < 1 || number > keys.max_keys_per_request) {
    return fail(ErrorCode::kInvalid,
                fmt::format("number {}; accepted: an integer, 1 to {}", shown(number), keys.max_keys_per_request));
  }
  plan.key_count = static_cast<std::uint32_t>(number);
  plan.key_bytes = static_cast<std::uint32_t>(size_bits / 8);
  return {};
}

Result<void> list_slaves(const KeyLimits& keys, const KeyRequest& request, KeyPlan& plan) {
  if (request.additional_slaves.size() > keys.max_additional_slaves) {
    return fail(ErrorCode::kInvalid, fmt::format("additional_slave_SAE_IDs has {} entries; accepted: at most {}",
                                                 request.additional_slaves.size(), keys.max_additional_slaves));
  }
  plan.slaves.push_back(request.slave);
  for (const SaeId& slave : request.additional_slaves) {
    if (slave == request.caller) return fail(ErrorCode::kInvalid, "additional_slave_SAE_IDs names the caller");
    if (std::ranges::find(plan.slaves, slave) != plan.slaves.end())
      return fail(ErrorCode::kInvalid, "additional_slave_SAE_IDs names an SAE twice, or the slave itself");
    plan.slaves.push_back(slave);
  }
  return {};
}

Result<void> place_slaves(const Policy& policy, const KeyRequest& request, KeyPlan& plan) {
  for (const SaeId& slave : plan.slaves) {
    const KmeId* home = policy.home_of(slave);
    if (home == nullptr) return fail(ErrorCode::kInvalid, "a slave SAE is not known");
    if (!policy.allows(request.caller, slave)) return fail(ErrorCode::kUnauthorised, "");
    if (*home == policy.self) {
      plan.local.push_back(slave);
      continue;
    }
    auto at = std::ranges::find(plan.remote, *home, &std::pair<KmeId, std::vector<SaeId>>::first);
    if (at == plan.remote.end()) at = plan.remote.insert(at, {*home, {}});
    at->second.push_back(slave);
  }
  return {};
}

// Keys for SAEs of our own site come over no KME at all, so they are as direct as can be.
Result<void> check_route(const Policy& policy, RouteType wanted, const KeyPlan& plan) {
  if (wanted == RouteType::kAny) return {};
  const auto direct = [&](const auto& leg) {
    return std::ranges::any_of(policy.links, [&](const auto& link) { return link.second.peer == leg.first; });
  };
  const bool met = wanted == RouteType::kDirect ? std::ranges::all_of(plan.remote, direct)
                                                : plan.local.empty() && std::ranges::none_of(plan.remote, direct);
  if (met) return {};
  return fail(ErrorCode::kExtensionUnmet, "");
}

}  // namespace

Error own_id_error() { return {ErrorCode::kInvalid, "the SAE ID in the path is the caller's own"}; }

Result<KeyPlan> plan_keys(const Policy& policy, const KeyRequest& request) {
  if (request.slave == request.caller) return std::unexpected(own_id_error());
  KeyPlan plan;
  plan.master = request.caller;
  if (const auto sizes = plan_sizes(policy.keys, request, plan); !sizes) return std::unexpected(sizes.error());
  if (const auto slaves = list_slaves(policy.keys, request, plan); !slaves) return std::unexpected(slaves.error());
  if (const auto placed = place_slaves(policy, request, plan); !placed) return std::unexpected(placed.error());
  if (const auto route = check_route(policy, request.must.route_type, plan); !route)
    return std::unexpected(route.error());
  return plan;
}

}  // namespace qkms::kms
