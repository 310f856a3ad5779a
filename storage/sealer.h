// Seals key bits on their way to a disk and opens them on their way back: AES-256-GCM, with the row's identity and
// place as associated data. A row that was changed, cut, moved or swapped does not open. The exact bytes:
// docs/store-format.md.
//
// What would surprise: every opening of a store seals under a data key of its own, HKDF-SHA-256(master key, fresh
// 256-bit salt), and counts its nonces up from 0. So no (key, nonce) pair comes twice, not even after a copy of the
// store was restored and went on.
//
// Concurrency: one thread.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/secret.h"

namespace qkms::storage {

using DataKeyId = std::uint32_t;
using Salt = std::array<std::uint8_t, 32>;
using Sealed = std::vector<std::uint8_t>;

// What a sealed blob is bound to: the table, then the fields that say which row it is and how it is to be read. Texts
// go in with their length, so no two lists of fields give the same bytes.
class AssociatedData {
 public:
  explicit AssociatedData(std::string_view table) { text(table); }
  AssociatedData& text(std::string_view value);
  AssociatedData& bytes(std::span<const std::uint8_t> value);
  AssociatedData& number(std::uint64_t value);
  std::span<const std::uint8_t> view() const { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

class Sealer {
 public:
  // `master_key` is kMasterKeyBytes long.
  explicit Sealer(SecretBytes master_key) : master_key_(std::move(master_key)) {}

  // Makes a data key known, for opening. Costs nothing until a blob asks for it.
  void add_data_key(DataKeyId id, const Salt& salt) { salts_.insert_or_assign(id, salt); }
  // From now on seals under this key. The salt must be fresh: never used before, by no copy of this store either.
  Result<void> seal_under(DataKeyId id, const Salt& fresh_salt);

  Result<Sealed> seal(const AssociatedData& place, std::span<const std::uint8_t> clear);
  // kCorrupt when the blob is not what was sealed for this place.
  Result<SecretBytes> open(const AssociatedData& place, std::span<const std::uint8_t> sealed);

 private:
  struct FreeContext {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;
  enum class Direction : int { kOpen = 0, kSeal = 1 };

  Result<Context> make_context(const Salt& salt, Direction direction) const;
  Result<EVP_CIPHER_CTX*> opening_context(DataKeyId id);

  SecretBytes master_key_;
  std::map<DataKeyId, Salt> salts_;
  std::map<DataKeyId, Context> opening_;  // with the key schedule done; at most kMaxOpeningContexts
  Context sealing_;
  DataKeyId sealing_id_ = 0;
  std::uint64_t next_nonce_ = 0;
};

}  // namespace qkms::storage
