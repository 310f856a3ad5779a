// The store of qkmsd, sealed or not. While it is sealed, the process has nothing that opens key material: no master
// key, no keyring, no data keys, no row that was opened. The files are still locked: no other process can take them.
//
// What would surprise: whoever may write to the state folder can put other files there while the store is sealed. So an
// unsealing is an opening like that of a start, and kms::Node begins another life with it.
//
// Operation: lock(), then unseal() and seal() in turn; sealed, every call fails (kSealed), and a commit answers
// kFailed. Concurrency: one thread, as kms::Store; lock() and the first unseal() may come before that thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "storage/sqlite_store.h"

namespace qkms::storage {

class SealableStore final : public kms::Store {
 public:
  // Sealed. Nothing but the lock is looked at. kClosed: another process has it.
  static Result<std::unique_ptr<SealableStore>> lock(std::filesystem::path file, StoreSettings settings);

  // As SqliteStore::open(); when it is open already, nothing happens. After an error it is sealed as before.
  Result<void> unseal(SecretBytes master_key);
  // All that refers to opened() must be gone. Wipes what it had, and leaves the files as a clean end does.
  void seal();

  // Null while it is sealed.
  SqliteStore* opened() { return store_.get(); }
  // kSealed while it is sealed.
  Result<SqliteStore*> to_look_at();

  Result<kms::Snapshot> load_all() override;
  Result<kms::Loaded> load(const kms::Needs& needs) override;
  kms::CommitOutcome commit(kms::Changes changes) override;

  // Why the last call that failed did so. Empty while it is sealed.
  std::string trouble() const { return store_ ? store_->trouble() : ""; }

 private:
  SealableStore(std::filesystem::path file, StoreSettings settings, StoreLock lock);

  const std::filesystem::path file_;
  const StoreSettings settings_;
  std::shared_ptr<const StoreLock> lock_;
  std::unique_ptr<SqliteStore> store_;
};

}  // namespace qkms::storage
