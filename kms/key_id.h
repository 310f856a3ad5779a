// Key IDs that say where their key is: a keyed permutation of (record number, index within the record, check bits),
// written as a UUIDv4. A store needs no index on random values, and to everyone without the issuer's ID key the IDs
// look random.
//
// The permutation is FF1 of NIST SP 800-38G (radix 2, 122 binary digits, empty tweak, AES-256). Nobody's right to a key
// rests on the ID being unguessable: the engine checks the caller on every fetch.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "api/peer/message.h"
#include "base/id.h"

struct evp_cipher_ctx_st;

namespace qkms::kms {

inline constexpr std::size_t kIdKeyBytes = 32;
inline constexpr std::uint64_t kMaxRecord = api::kMaxRecordNumber;
inline constexpr std::uint32_t kMaxKeyIndex = (1u << 16) - 1;

struct KeyPlace {
  std::uint64_t record = 0;  // at most kMaxRecord
  std::uint32_t index = 0;   // at most kMaxKeyIndex
  bool operator==(const KeyPlace&) const = default;
};

// Thread rule: one thread at a time.
class KeyIdCodec {
 public:
  explicit KeyIdCodec(std::span<const std::uint8_t, kIdKeyBytes> id_key);

  // The IDs of keys 0 to count - 1 of a record.
  std::vector<KeyId> encode(std::uint64_t record, std::uint32_t count) const;
  // Nothing when the issuer with this ID key never made this ID (but for a chance of 2^-45).
  std::optional<KeyPlace> decode(const KeyId& id) const;

 private:
  struct Halves {
    std::uint64_t left, right;  // 61 bits each
  };
  void encrypt(std::span<Halves> values) const;
  void round_values(int round, std::span<const std::uint64_t> inputs, std::span<std::uint64_t> outputs) const;

  struct Free {
    void operator()(evp_cipher_ctx_st* context) const;
  };
  std::unique_ptr<evp_cipher_ctx_st, Free> aes_;  // ECB, no padding
  std::array<std::uint8_t, 16> first_block_{};    // AES(P): the part of the PRF that is the same in all rounds
};

}  // namespace qkms::kms
