// The keyring of a store: the data keys that its rows are sealed under, one per epoch, in a file of their own, wrapped
// under the master key. A key that is destroyed here takes every copy of the rows sealed under it along: those in the
// write-ahead log, on the medium, in old backups. So the keyring must stay outside the backups of the store. The exact
// bytes: docs/store-format.md.
//
// What would surprise: the file is always written whole, aside, and renamed into place; what it replaces is
// overwritten.
//
// Concurrency: one thread, and one process: the lock of the store (storage/store_lock.h) protects both.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/secret.h"

namespace qkms::storage {

using EpochId = std::uint32_t;  // counts up from 1, over the whole life of a keyring
using StoreId = std::array<std::uint8_t, 16>;

inline constexpr std::size_t kCensusKeyBytes = 64;

class Keyring {
 public:
  // For a new store. Nothing is written before the first begin_epoch().
  static Result<std::unique_ptr<Keyring>> create(const std::filesystem::path& file, SecretBytes master_key);
  // kNotFound: no file. kInvalid: another master key. kCorrupt: damaged.
  static Result<std::unique_ptr<Keyring>> read(const std::filesystem::path& file, SecretBytes master_key);

  // Draws the key of the next epoch. On return it is durable, so that nothing is ever sealed under a key that a crash
  // could lose. After an error the keyring is as before.
  Result<EpochId> begin_epoch();
  // Destroys the keys of these epochs: on return no file holds them. After an error they are all still here.
  // `head_epoch` goes into the file too: a commit of that epoch is durable.
  Result<void> destroy(const std::set<EpochId>& epochs, EpochId head_epoch);

  // The file is wrapped under this one from now on, and what was wrapped under the old one is overwritten. kInvalid: it
  // is the same. After an error the old one stays, unless master_key_in_doubt(): then the file in place is wrapped
  // under the new one, and the keyring goes on with that, but a power cut may bring the old file back. The text says
  // so. The next writing that succeeds ends the doubt, and so does asking again.
  Result<void> change_master_key(SecretBytes master_key);
  bool master_key_in_doubt() const { return in_doubt_; }

  // Null when the key was destroyed, or never was.
  const SecretBytes* key_of(EpochId epoch) const;
  std::set<EpochId> epochs() const;
  const StoreId& store_id() const { return store_id_; }
  const SecretBytes& root_key() const { return root_key_; }      // lives as long as the keyring
  const SecretBytes& census_key() const { return census_key_; }  // kCensusKeyBytes
  EpochId last_epoch() const { return last_epoch_; }
  // A commit was durable in it: a head of an earlier one is an old copy's. 0 before the store's first commit.
  EpochId head_epoch() const { return head_epoch_; }

 private:
  Keyring(std::filesystem::path file, SecretBytes master_key)
      : file_(std::move(file)), master_key_(std::move(master_key)) {}
  SecretBytes encode(const std::set<EpochId>& without, EpochId head_epoch) const;
  Result<void> decode(const SecretBytes& body);
  Result<void> write(const std::set<EpochId>& without, EpochId head_epoch);

  std::filesystem::path file_;
  SecretBytes master_key_;
  StoreId store_id_{};
  SecretBytes census_key_, root_key_;
  EpochId last_epoch_ = 0;
  EpochId head_epoch_ = 0;
  bool in_doubt_ = false;
  std::map<EpochId, SecretBytes> keys_;
};

}  // namespace qkms::storage
