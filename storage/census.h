// The census of a store: for each group of rows (what one peer or one link shares; the node's own) how many there are,
// and a keyed multiset hash of their seals. It stands in the head row, sealed, and every commit brings it up to date;
// at the next opening the rows are counted again. A row that was removed, added, or put back as an older copy had it
// makes the two differ. The same counting tells how many rows each epoch's data key still has.
//
// The hash: the sum, modulo 2^256, of F(tag) over the tags of the group's seals, F being two AES-256 permutations under
// keys of the keyring (after MSet-Add-Hash of Clarke, Devadas, van Dijk, Gassend and Suh, 2003). Order does not matter,
// adding and taking out cost the same, and who has not the keys cannot find another set of seals with the same sum.
//
// Operation: add() and remove() while a transaction runs; then settle() when it is durable or undo() when it was rolled
// back. Concurrency: one thread.
#pragma once

#include <array>
#include <map>

#include "storage/sealer.h"

namespace qkms::storage {

// Names' number of a KME or link ID, or kOwnGroup.
using Group = std::int64_t;
inline constexpr Group kOwnGroup = 0;

struct Tally {
  std::uint64_t rows = 0;
  std::array<std::uint64_t, 4> sum{};  // lowest word first
  bool operator==(const Tally&) const = default;
};

class Census {
 public:
  // `key` is kCensusKeyBytes long.
  static Result<Census> make(const SecretBytes& key);

  // `header`: the seal, or its first kSealHeaderBytes.
  void add(Group group, Bytes header);
  void remove(Group group, Bytes header);

  void settle() { settled_ = counts_; }
  void undo() { counts_ = settled_; }

  const std::map<Group, Tally>& groups() const { return counts_.groups; }
  // Rows by epoch. Epochs without any are not in it.
  const std::map<EpochId, std::uint64_t>& epochs() const { return counts_.epochs; }

 private:
  struct FreeContext {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;
  struct Counts {
    std::map<Group, Tally> groups;
    std::map<EpochId, std::uint64_t> epochs;
  };

  Census(Cipher low, Cipher high) : low_(std::move(low)), high_(std::move(high)) {}
  static Result<Cipher> make_cipher(Bytes key);
  std::array<std::uint64_t, 4> hash(Bytes tag);

  Cipher low_, high_;
  Counts counts_, settled_;
};

}  // namespace qkms::storage
