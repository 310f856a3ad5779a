#include "kms/event.h"

namespace qkms::kms {

std::string_view name_of(NoticeKind kind) {
  switch (kind) {
    case NoticeKind::kPairResumed:
      return "pair_resumed";
    case NoticeKind::kPairMet:
      return "pair_met";
    case NoticeKind::kPairReset:
      return "pair_reset";
    case NoticeKind::kProtocolError:
      return "protocol_error";
    case NoticeKind::kBlockAccepted:
      return "block_accepted";
    case NoticeKind::kBlockMismatch:
      return "block_mismatch";
    case NoticeKind::kBlockExpired:
      return "block_expired";
    case NoticeKind::kBlockRepeated:
      return "block_repeated";
    case NoticeKind::kBlockRefused:
      return "block_refused";
    case NoticeKind::kAssignRefused:
      return "assign_refused";
    case NoticeKind::kRecordVoided:
      return "record_voided";
    case NoticeKind::kKeysExpired:
      return "keys_expired";
    case NoticeKind::kExtentsGiven:
      return "extents_given";
    case NoticeKind::kUnreadableRow:
      return "unreadable_row";
    case NoticeKind::kPeerSilent:
      return "peer_silent";
    case NoticeKind::kNotEntitled:
      return "not_entitled";
    case NoticeKind::kLimited:
      return "limited";
    case NoticeKind::kPolicyReplaced:
      return "policy_replaced";
    case NoticeKind::kStoreRolledBack:
      return "store_rolled_back";
    case NoticeKind::kLinkDivergence:
      return "link_divergence";
  }
  return "unknown";
}

}  // namespace qkms::kms
