// All that seals one open store: its keyring, the sealer, the census, and the life of epochs between them.
//
// An epoch begins (its key durable in the keyring), rows are sealed under it, a later epoch takes over, and when its
// last row is gone its key is destroyed. docs/store-format.md has the diagram.
//
// Operation: as Census, with before_commit() ahead of each transaction. Concurrency: one thread.
#pragma once

#include <chrono>
#include <memory>

#include "storage/census.h"
#include "storage/sqlite_tables.h"

namespace qkms::storage {

struct EpochSettings {
  std::chrono::seconds life{3600};                // of an epoch, before the next one begins
  std::uint64_t bytes = std::uint64_t{64} << 30;  // likewise: sealed under one key
  std::uint32_t reseal_after = 24;                // rows this many epochs old are sealed anew
};

class Sealing {
 public:
  // With an epoch of its own, fresh and durable.
  static Result<std::unique_ptr<Sealing>> begin(std::unique_ptr<Keyring> keyring, const EpochSettings& settings);

  // Begins the next epoch when it is time to. When the keyring cannot be written, the old one goes on.
  void before_commit();
  // The transaction is durable, with a head written under the epoch of now. Destroys the keys of epochs without rows.
  void after_commit();
  void after_rollback() { census_.undo(); }
  // Also tells the keyring that this store's head is durable, so that it is never taken for a new store's.
  Result<void> destroy_spent_keys();

  Result<void> change_master_key(SecretBytes master_key) { return keyring_->change_master_key(std::move(master_key)); }

  const Keyring& keyring() const { return *keyring_; }
  Sealer& sealer() { return sealer_; }
  Census& census() { return census_; }
  RowSeals& rows() { return rows_; }
  // Rows of epochs before this one are to be sealed anew.
  EpochId reseal_before() const;

 private:
  Sealing(std::unique_ptr<Keyring> keyring, Census census, const EpochSettings& settings)
      : keyring_(std::move(keyring)),
        settings_(settings),
        sealer_(*keyring_),
        census_(std::move(census)),
        rows_(sealer_, census_) {}
  Result<void> begin_epoch();
  std::set<EpochId> spent() const;

  std::unique_ptr<Keyring> keyring_;
  EpochSettings settings_;
  Sealer sealer_;
  Census census_;
  RowSeals rows_;
  std::chrono::steady_clock::time_point began_;
};

}  // namespace qkms::storage
