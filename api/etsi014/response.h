// The response bodies of ETSI GS QKD 014 V1.1.1 §6: Status and Error as text, and the key container, which carries key
// bits and so goes straight into a buffer that the caller wipes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "api/secret_writer.h"
#include "base/id.h"

namespace qkms::api::etsi014 {

// §6.1, in its units: bits, and counts of keys.
struct Status {
  KmeId source_kme, target_kme;
  SaeId master, slave;
  std::uint32_t key_size_bits = 0;
  std::uint32_t stored_key_count = 0;
  std::uint32_t max_key_count = 0;
  std::uint32_t max_key_per_request = 0;
  std::uint32_t max_key_size_bits = 0;
  std::uint32_t min_key_size_bits = 0;
  std::uint32_t max_additional_slaves = 0;
};

// Integers are cut at 2 147 483 647, since clients read them into 32 signed bits (shared decision 13).
std::string status_body(const Status& status);

// A line of `details`: an object with one member. Both texts may be anything.
struct Detail {
  std::string_view name, value;
};

// §6.5. `details` is left out when there are none (shared decision 12). The message may be anything, except key bits.
std::string error_body(std::string_view message, std::span<const Detail> details = {});

// §6.3: keys in order. Key i is the run of key_bytes[i] bytes of `bits` behind those of the keys before it; together
// they are all of `bits`. A view: what it points at must live while it is used.
struct KeyContainer {
  std::span<const KeyId> ids;
  std::span<const std::uint32_t> key_bytes;
  std::span<const std::uint8_t> bits;
};

// The exact size of the body, so that one buffer can be made for header and body.
std::size_t key_container_size(std::span<const std::uint32_t> key_bytes);
// Writes exactly that many bytes.
void write_key_container(const KeyContainer& keys, SecretWriter& out);

}  // namespace qkms::api::etsi014
