// For tests of stores: short ways to make rows, and a text of everything that a store gives back, so that two stores
// can be compared.
#pragma once

#include <string>
#include <string_view>

#include "kms/store.h"

namespace qkms::storage {

KmeId kme(std::string_view text);
SaeId sae(std::string_view text);
LinkId link(std::string_view text);
BlockId block(std::uint32_t number);
SecretBytes bits(std::size_t size, std::uint8_t first);

kms::NodeRow sample_node();
kms::PeerRow sample_peer(std::string_view peer, std::uint64_t first = 1);
kms::ExtentRow sample_extent(std::string_view peer, std::uint64_t id, std::uint32_t front = 0);
kms::BlockRow sample_block(std::string_view link_id, std::uint32_t number);
// Two keys of 16 bytes for two slaves.
kms::Assignment sample_assignment(std::string_view issuer, std::uint64_t record, Millis expires_at = 1000);

// Everything in it, key bits in hexadecimal: made-up bits only.
std::string describe(const kms::Snapshot& snapshot);
std::string describe(const kms::Loaded& loaded);

}  // namespace qkms::storage
