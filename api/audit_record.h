// What an auditor must be able to read years later: who got which keys, who was refused what, what came in and what was
// burned, and why. The engine makes a record beside the change that it tells of, and both are one transaction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"

namespace qkms::api {

// A closed set; name_of() is what stands in the log.
enum class AuditAction {
  kStart,          // the daemon began to serve
  kStop,           // it was told to end
  kKeysToMaster,   // Get key answered 200
  kKeysToSlave,    // Get key with key IDs answered 200
  kRefusal,        // requests were answered with an error: `count` of them, of one caller for one reason
  kIngest,         // a block of both ends became key material
  kQuarantine,     // a block differed at the two ends
  kBlockLost,      // a block came to nothing: its other half did not come, or one end did not want it
  kBurn,           // bits became unusable
  kExpiry,         // keys were not fetched in time
  kPairAfresh,     // everything shared with a peer was given up
  kStorePutBack,   // the store was found to be an old copy: everything in it was burned
  kConfiguration,  // another configuration was put in force, or was refused
  kMasterKey,      // another master key was put in use, or was refused
  kBackup,         // a copy of the store was made, or failed
  kSeal,           // the master key was wiped from memory
  kUnseal,         // it came back, or was refused
};
inline constexpr std::size_t kAuditActions = static_cast<std::size_t>(AuditAction::kUnseal) + 1;
std::string_view name_of(AuditAction action);

// What is empty or 0 does not apply. Never key bits.
struct AuditRecord {
  AuditAction action = AuditAction::kStart;
  std::string actor = {};    // who did or caused it: an SAE, a KME, a link, an operator
  std::string subject = {};  // whom or what it concerns: the other SAE or SAEs, a peer, a block, a file
  std::vector<KeyId> keys = {};
  std::uint64_t bits = 0;   // of key material, in all
  std::uint64_t count = 0;  // of requests
  std::string reason = {};
};

}  // namespace qkms::api
