// The rows that the benchmark's stores hold: names as long as those of a site, one key of 256 bits for one slave in
// each assignment. Key bits are made up and not secret.
#pragma once

#include "kms/store.h"

namespace qkms::bench {

inline constexpr std::uint32_t kKeyBytes = 32;
inline constexpr std::uint32_t kExtentBytes = 65536;

const KmeId& own_kme();
const KmeId& peer_kme();
const LinkId& sample_link();

kms::NodeRow sample_node();
kms::PeerRow sample_peer();
kms::Assignment sample_assignment(std::uint64_t record);
// True when its bits are those of sample_assignment(record).
bool is_sample(const kms::Assignment& assignment, std::uint64_t record);
// Who got the key of that record.
api::AuditRecord sample_delivery(api::AuditAction action, std::uint64_t record);
kms::OutboxRow sample_message(std::uint64_t sequence);
BlockId sample_block(std::uint64_t number);
api::AuditRecord sample_ingest(std::uint64_t number);

}  // namespace qkms::bench
