#include "kms/store.h"

namespace qkms::kms {

bool Changes::empty() const {
  return !burned && !node && put_peers.empty() && new_extents.empty() && moved_extents.empty() &&
         dropped_extents.empty() && new_blocks.empty() && dropped_blocks.empty() && seen_blocks.empty() &&
         put_assignments.empty() && dropped_assignments.empty() && new_outbox.empty() && acknowledged_outbox.empty() &&
         cleared_outboxes.empty() && audit.empty();
}

}  // namespace qkms::kms
