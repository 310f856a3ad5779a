// What a Get key request comes down to once it has been checked against the policy: how much, for whom, by which KMEs.
// Pure: what is in the reservoirs, and what was used before, is the key service's part.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "kms/policy.h"
#include "kms/types.h"

namespace qkms::kms {

struct KeyPlan {
  SaeId master;
  std::uint32_t key_count = 0;
  std::uint32_t key_bytes = 0;
  std::vector<SaeId> slaves;                                 // in the order of the request
  std::vector<std::pair<KmeId, std::vector<SaeId>>> remote;  // the same by the KME that serves them, where not us
  std::vector<SaeId> local;                                  // and those that we serve

  std::uint64_t bytes() const { return std::uint64_t{key_count} * key_bytes; }
  std::uint64_t bits() const { return bytes() * 8; }
};

// kInvalid, kSizeNotMultipleOf8, kUnauthorised, or kExtensionUnmet.
Result<KeyPlan> plan_keys(const Policy& policy, const KeyRequest& request);

Error own_id_error();

}  // namespace qkms::kms
