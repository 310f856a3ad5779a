// Seals rows on their way to a disk and opens them on their way back: AES-256-GCM, with the row's identity and place as
// associated data. A row that was changed, cut, moved or swapped does not open. The exact bytes: docs/store-format.md.
//
// What would surprise: there are two kinds of seals. Rows are sealed under the data key of the epoch, which is
// destroyed when they are gone. The few that every copy of the store must open with (node, head) are sealed under a key
// that lasts: HKDF of the keyring's root key and a salt that is fresh for each opening of the store. Both keys begin
// with this process, and nonces count up from 0, so no (key, nonce) pair comes twice, not even after copies of the
// store and its keyring were restored and went on.
//
// Concurrency: one thread.
#pragma once

#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "storage/aead.h"
#include "storage/keyring.h"

namespace qkms::storage {

using Sealed = std::vector<std::uint8_t>;

// The first bytes of each sealed blob: version, epoch, nonce, tag. They tell two blobs apart.
inline constexpr std::size_t kSealHeaderBytes = 1 + 4 + kNonceBytes + kTagBytes;

// The epoch that a blob is sealed under; 0: the lasting key. `header` is a blob or its first kSealHeaderBytes.
EpochId epoch_of(Bytes header);
Bytes tag_of(Bytes header);

// What a sealed blob is bound to: the table, then the fields that say which row it is and how it is to be read. Texts
// go in with their length, so no two lists of fields give the same bytes.
class AssociatedData {
 public:
  explicit AssociatedData(std::string_view table) {
    bytes_.reserve(kUsualBytes);
    text(table);
  }
  AssociatedData& text(std::string_view value);
  AssociatedData& bytes(Bytes value);
  AssociatedData& number(std::uint64_t value);
  Bytes view() const { return bytes_; }

 private:
  static constexpr std::size_t kUsualBytes = 256;  // of all rows but those with long names: one allocation
  std::vector<std::uint8_t> bytes_;
};

class Sealer {
 public:
  explicit Sealer(const Keyring& keyring) : keyring_(keyring) {}

  // From now on seals under the key of this epoch: one that nobody has sealed under before.
  Result<void> seal_under(EpochId fresh_epoch);
  EpochId epoch() const { return epoch_; }
  std::uint64_t sealed_bytes() const { return sealed_bytes_; }  // in this epoch
  // The epoch's key was destroyed.
  void forget(EpochId epoch) { opening_.erase(epoch); }

  Result<Sealed> seal(const AssociatedData& place, Bytes clear);
  Result<Sealed> seal_lastingly(const AssociatedData& place, Bytes clear);
  // kCorrupt when the blob is not what was sealed for this place, or when its key was destroyed.
  Result<SecretBytes> open(const AssociatedData& place, Bytes sealed);

 private:
  using Salt = std::array<std::uint8_t, 32>;
  Result<SecretBytes> open_lasting(const AssociatedData& place, Bytes sealed);

  const Keyring& keyring_;
  std::map<EpochId, Aead> opening_;  // with the key schedule done; at most kMaxOpening
  std::optional<Aead> sealing_, lasting_;
  EpochId epoch_ = 0;
  std::uint64_t next_nonce_ = 0, next_lasting_nonce_ = 0;
  std::uint64_t sealed_bytes_ = 0;
  Salt salt_{};
};

}  // namespace qkms::storage
