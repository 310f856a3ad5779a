// What a device answers over ETSI GS QKD 014 V1.1.1 §6, from untrusted bytes to values: pure functions, bounded,
// fuzzed. Where devices differ in what does not matter they are followed: unknown members, key IDs in upper case,
// `details` of any kind. Key bits go from the bytes that came straight into a box.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/id.h"
#include "base/secret.h"

namespace qkms::drivers::etsi014 {

// §6.1. What a device leaves out has the least that the rest allows.
struct DeviceStatus {
  std::uint32_t key_size_bits = 0;
  std::uint32_t min_key_size_bits = 0;
  std::uint32_t max_key_size_bits = 0;
  std::uint32_t max_key_per_request = 1;
  std::optional<std::uint32_t> stored_key_count;  // of key_size_bits each
  // What a device may well say and an operator should hear of: "" when there is nothing.
  std::string oddity;
  bool operator==(const DeviceStatus&) const = default;
};
// kCorrupt: not a status, or one by which no key can be asked for.
Result<DeviceStatus> read_status(const SecretBytes& body);

struct DeviceKey {
  KeyId id;
  SecretBytes bits;
};
inline constexpr std::size_t kMaxKeysPerAnswer = 1024;
// §6.3, in the order of the text. kCorrupt when anything in it is not as it should be; whether it is what was asked for
// is for the caller to see.
Result<std::vector<DeviceKey>> read_key_container(const SecretBytes& body);

// §6.5, as a sentence for the operator: "503: not enough keys". Takes any bytes; repeats at most kMaxMessageBytes, and
// only of a member named "message".
std::string describe_refusal(int status, const SecretBytes& body);
inline constexpr std::size_t kMaxMessageBytes = 200;

// §6.2 and §6.4.
std::string key_request(std::size_t number, std::uint32_t size_bits);
std::string key_ids_request(std::span<const KeyId> ids);

}  // namespace qkms::drivers::etsi014
