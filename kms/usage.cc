#include "kms/usage.h"

#include <algorithm>
#include <limits>

#include "kms/planted_bug.h"

namespace qkms::kms {
namespace {

constexpr Millis kDayMs = 24 * 3600 * 1000;
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 4;

std::int64_t clamped(std::uint64_t value) { return static_cast<std::int64_t>(std::min<std::uint64_t>(value, kMost)); }

// rate x time, without overflow for any configurable rate and any clock.
std::int64_t gained(std::uint64_t per_s, Millis elapsed_ms) {
  if (elapsed_ms <= 0) return 0;
  if (static_cast<std::int64_t>(clamped(per_s)) > kMost / elapsed_ms) return kMost;
  return clamped(per_s) * elapsed_ms;
}

std::unexpected<Error> refuse(ErrorCode code, const char* text, Millis wait_ms) {
  const auto seconds = static_cast<std::uint32_t>(std::clamp<Millis>((wait_ms + 999) / 1000, 1, kDayMs / 1000));
  return std::unexpected(Error{code, text, seconds});
}

// An account that is not there yet is one of which nothing has been used.
template <class Accounts, class Key>
const Account& account_of(const Accounts& accounts, const Key& key) {
  static const Account kUnused;
  const auto found = accounts.find(key);
  return found == accounts.end() ? kUnused : found->second;
}

}  // namespace

// Tokens are counted in thousandths, since a rate of 1/s gains one thousandth in a millisecond.
std::int64_t Bucket::level(std::uint64_t per_s, Millis now) const {
  const std::int64_t most = gained(per_s, kBurstMs);
  return started_ ? std::min(most, thousandths_ + gained(per_s, now - filled_at_)) : most;
}

Millis Bucket::wait_ms(std::uint64_t per_s, Millis now) const {
  if (per_s == 0) return 0;
  const std::int64_t there = level(per_s, now);
  return there > 0 ? 0 : -there / clamped(per_s) + 1;
}

void Bucket::take(std::uint64_t per_s, std::uint64_t amount, Millis now) {
  if (per_s == 0) return;
  const std::int64_t cost = amount > kMost / 1000 ? kMost : static_cast<std::int64_t>(amount * 1000);
  thousandths_ = std::max(-kMost, level(per_s, now) - cost);
  filled_at_ = now;
  started_ = true;
}

Account::Day Account::today(Millis now) const {
  return day_.keys != 0 && now - day_.began < kDayMs ? day_ : Day{now, 0, 0};
}

Result<void> Account::check_request(const Allowance& allowance, Millis now) const {
  const Millis wait = requests_.wait_ms(allowance.requests_per_s, now);
  if (wait > 0) return refuse(ErrorCode::kRateLimited, "too many requests", wait);
  return {};
}

Result<void> Account::check_keys(const Allowance& allowance, std::uint64_t keys, std::uint64_t bits, Millis now) const {
  const Day day = today(now);
  const auto over = [](std::uint64_t used, std::uint64_t more, std::uint64_t limit) {
    return limit != 0 && (more > limit || used > limit - more);
  };
  if (over(day.keys, keys, allowance.keys_per_day) || over(day.bits, bits, allowance.bits_per_day))
    return refuse(ErrorCode::kOverQuota, "today's quota does not allow so many keys", day.began + kDayMs - now);
  const Millis wait = std::max(keys_.wait_ms(allowance.keys_per_s, now), bits_.wait_ms(allowance.bits_per_s, now));
  if (wait > 0) return refuse(ErrorCode::kRateLimited, "too many keys in too short a time", wait);
  return {};
}

void Account::charge_keys(const Allowance& allowance, std::uint64_t keys, std::uint64_t bits, Millis now) {
  keys_.take(allowance.keys_per_s, keys, now);
  bits_.take(allowance.bits_per_s, bits, now);
  day_ = today(now);
  day_.keys += keys;
  day_.bits += bits;
}

std::uint64_t Account::bits_left(const Allowance& allowance, std::uint64_t bits_per_key, Millis now) const {
  const Day day = today(now);
  std::uint64_t left = std::numeric_limits<std::uint64_t>::max();
  if (allowance.bits_per_day != 0) left = allowance.bits_per_day - std::min(allowance.bits_per_day, day.bits);
  if (allowance.keys_per_day == 0) return left;
  const std::uint64_t keys = allowance.keys_per_day - std::min(allowance.keys_per_day, day.keys);
  return keys < left / bits_per_key ? keys * bits_per_key : left;
}

const Allowance* Usage::allowance_of(const SaeId& sae) const {
  const auto found = policy_->allowances.find(sae);
  return found == policy_->allowances.end() ? nullptr : &found->second;
}

const Allowance* Usage::allowance_of(const PairOf& pair) const {
  const auto found = policy_->pair_terms.find(pair);
  return found == policy_->pair_terms.end() ? nullptr : &found->second.allowance;
}

Result<void> Usage::check_request(const SaeId& caller, const SaeId* slave, Millis now) const {
  if (const Allowance* allowance = allowance_of(caller)) {
    if (auto checked = account_of(saes_, caller).check_request(*allowance, now); !checked) return checked;
  }
  if (slave == nullptr) return {};
  const PairOf pair{caller, *slave};
  const Allowance* allowance = allowance_of(pair);
  if (allowance == nullptr) return {};
  return account_of(pairs_, pair).check_request(*allowance, now);
}

void Usage::charge_request(const SaeId& caller, const SaeId* slave, Millis now) {
  if (const Allowance* allowance = allowance_of(caller)) saes_[caller].charge_request(*allowance, now);
  if (slave == nullptr) return;
  const PairOf pair{caller, *slave};
  if (const Allowance* allowance = allowance_of(pair)) pairs_[pair].charge_request(*allowance, now);
}

Result<void> Usage::check_keys(const SaeId& master, Slaves slaves, std::uint64_t keys, std::uint64_t bits,
                               Millis now) const {
  if (const Allowance* allowance = allowance_of(master)) {
    if (auto checked = account_of(saes_, master).check_keys(*allowance, keys, bits, now); !checked) return checked;
  }
  for (const SaeId& slave : slaves) {
    const PairOf pair{master, slave};
    const Allowance* allowance = allowance_of(pair);
    if (allowance == nullptr) continue;
    if (auto checked = account_of(pairs_, pair).check_keys(*allowance, keys, bits, now); !checked) return checked;
  }
  return {};
}

void Usage::charge_keys(const SaeId& master, Slaves slaves, std::uint64_t keys, std::uint64_t bits, Millis now) {
  if (planted(Bug::kForgetCharge) && slaves.size() > 1) return;
  if (const Allowance* allowance = allowance_of(master)) saes_[master].charge_keys(*allowance, keys, bits, now);
  for (const SaeId& slave : slaves) {
    const PairOf pair{master, slave};
    if (const Allowance* allowance = allowance_of(pair)) pairs_[pair].charge_keys(*allowance, keys, bits, now);
  }
}

std::uint64_t Usage::bits_left(const SaeId& master, const SaeId& slave, std::uint64_t bits_per_key, Millis now) const {
  std::uint64_t left = std::numeric_limits<std::uint64_t>::max();
  if (const Allowance* allowance = allowance_of(master))
    left = account_of(saes_, master).bits_left(*allowance, bits_per_key, now);
  const PairOf pair{master, slave};
  if (const Allowance* allowance = allowance_of(pair))
    left = std::min(left, account_of(pairs_, pair).bits_left(*allowance, bits_per_key, now));
  return left;
}

void Usage::replace_policy(const Policy& policy) {
  policy_ = &policy;
  std::erase_if(saes_, [this](const auto& entry) { return allowance_of(entry.first) == nullptr; });
  std::erase_if(pairs_, [this](const auto& entry) { return allowance_of(entry.first) == nullptr; });
}

}  // namespace qkms::kms
