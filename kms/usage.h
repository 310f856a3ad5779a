// What SAEs have used of their allowances: token buckets and daily quotas, for each SAE and for each pair of master and
// slave.
//
// A bucket gains its rate all the time, up to what comes in within kBurstMs, and may be overdrawn by one request: so a
// request larger than the bucket is served too, and is paid for afterwards. Days are 24 hours from the first key on.
// Kept in memory: a restart begins with full buckets and a new day. Concurrency: the engine's thread.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/id.h"
#include "kms/policy.h"

namespace qkms::kms {

class Bucket {
 public:
  // 0 when there is something to take, else how long until then. No rate: never empty.
  Millis wait_ms(std::uint64_t per_s, Millis now) const;
  void take(std::uint64_t per_s, std::uint64_t amount, Millis now);

 private:
  std::int64_t level(std::uint64_t per_s, Millis now) const;

  std::int64_t thousandths_ = 0;  // of a request, key or bit; negative: in debt
  Millis filled_at_ = 0;
  bool started_ = false;
};

// One SAE's, or one pair's.
class Account {
 public:
  Result<void> check_request(const Allowance& allowance, Millis now) const;
  Result<void> check_keys(const Allowance& allowance, std::uint64_t keys, std::uint64_t bits, Millis now) const;
  void charge_request(const Allowance& allowance, Millis now) { requests_.take(allowance.requests_per_s, 1, now); }
  void charge_keys(const Allowance& allowance, std::uint64_t keys, std::uint64_t bits, Millis now);
  // How many bits the daily quota still has; the buckets may delay them.
  std::uint64_t bits_left(const Allowance& allowance, std::uint64_t bits_per_key, Millis now) const;

 private:
  struct Day {
    Millis began = 0;
    std::uint64_t keys = 0, bits = 0;
  };
  Day today(Millis now) const;

  Bucket requests_, keys_, bits_;
  Day day_;
};

class Usage {
 public:
  using Slaves = std::span<const SaeId>;
  explicit Usage(const Policy& policy) : policy_(&policy) {}

  // Whether the caller may ask anything now; as a master, towards this slave.
  Result<void> check_request(const SaeId& caller, const SaeId* slave, Millis now) const;
  void charge_request(const SaeId& caller, const SaeId* slave, Millis now);
  // Whether the master may have so many keys for these slaves now: kRateLimited, kOverQuota.
  Result<void> check_keys(const SaeId& master, Slaves slaves, std::uint64_t keys, std::uint64_t bits, Millis now) const;
  void charge_keys(const SaeId& master, Slaves slaves, std::uint64_t keys, std::uint64_t bits, Millis now);
  std::uint64_t bits_left(const SaeId& master, const SaeId& slave, std::uint64_t bits_per_key, Millis now) const;

  // What was used stays used; accounts of whoever has no limits any more go.
  void replace_policy(const Policy& policy);

 private:
  using PairOf = std::pair<SaeId, SaeId>;
  const Allowance* allowance_of(const SaeId& sae) const;
  const Allowance* allowance_of(const PairOf& pair) const;

  const Policy* policy_;
  // Of those that have used anything.
  std::map<SaeId, Account> saes_;
  std::map<PairOf, Account> pairs_;
};

}  // namespace qkms::kms
