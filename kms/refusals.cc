#include "kms/refusals.h"

namespace qkms::kms {

void Refusals::count(const SaeId& caller, ErrorCode reason) {
  const std::pair<std::string, ErrorCode> key(caller.str(), reason);
  const bool is_room = counts_.size() < kMaxCallers || counts_.contains(key);
  ++counts_[is_room ? key : std::pair<std::string, ErrorCode>("others", reason)];
}

void Refusals::flush(Batch& batch) {
  for (const auto& [who, times] : counts_) {
    batch.audit({.action = api::AuditAction::kRefusal,
                 .actor = who.first,
                 .count = times,
                 .reason = std::string(name_of(who.second))});
  }
  counts_.clear();
}

}  // namespace qkms::kms
