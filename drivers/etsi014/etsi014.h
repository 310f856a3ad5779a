// Key material from a QKD device, or another vendor's KMS, that offers ETSI GS QKD 014 V1.1.1: this KME is its SAE, at
// both ends of the link.
//
// Operation: kPull: the leading end calls Get key, tells its twin the key IDs, and that end calls Get key with key IDs
// at its own device. kPaired: both ends call Get key at a device of their own, which has paired the keys under equal
// IDs already. docs/drivers.md says what is lost when.
//
// What would surprise: both calls consume. A request that may have reached the device is never repeated: what it asked
// for is given up, and the other end's block expires.
#pragma once

#include <memory>

#include "drivers/driver.h"
#include "drivers/tls_settings.h"

namespace qkms::drivers {

enum class Etsi014Mode { kPull, kPaired };
enum class Etsi014End { kLeads, kFollows };

struct Etsi014Settings {
  TlsSettings tls;
  std::string path_prefix;  // what stands before /api/v1: "" or "/..."
  SaeId twin;               // the SAE ID that the device has for the KME at the other end
  Etsi014Mode mode = Etsi014Mode::kPull;
  Etsi014End end = Etsi014End::kLeads;  // the other one at the other end
  std::uint32_t key_size_bits = 0;      // of the keys asked for; 0: the largest that the device offers
  std::uint32_t block_bytes = 16'384;
  std::uint32_t poll_ms = 1'000;  // the longest time between two questions to a device that has no key
  std::uint32_t answer_ms = 10'000;
  std::uint32_t fetch_ms = 30'000;  // kPull, following end: a device that does not have the keys yet is asked so long
  std::uint32_t max_pending_bytes = 1 << 20;  // kPaired, following end: keys that wait for a note
  bool operator==(const Etsi014Settings&) const = default;
};

std::unique_ptr<Driver> make_etsi014_driver(Etsi014Settings settings);

}  // namespace qkms::drivers
