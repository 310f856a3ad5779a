// A copy of a store that is open, and how such a copy becomes the store again.
//
// What a backup is for: the name of this KME, the keys to its key IDs, its audit log. Not key material: bits that were
// in a backup may have been given out since, so a store that is put back burns all that it holds (docs/adr/0015). The
// keyring is no part of it, and must not be beside it.
#pragma once

#include <filesystem>
#include <future>
#include <memory>

#include "storage/sqlite_database.h"

namespace qkms::storage {

// Operation: begin(), then step() until it says true; between two steps the store may commit: that is in the copy, too,
// unless all is copied by then. Concurrency: the thread of the store; the sync at the end has a thread of its own.
// Going away before the end removes what there is of the copy.
class StoreBackup {
 public:
  // Into `file`, which must not be there yet; mode 0600. `from` must outlive this.
  static Result<std::unique_ptr<StoreBackup>> begin(Database& from, const std::filesystem::path& file);
  ~StoreBackup();

  // Copies some more, or waits a moment for the sync. True: it is whole and durable under its name.
  Result<bool> step();

 private:
  struct Finish {
    void operator()(sqlite3_backup* backup) const { sqlite3_backup_finish(backup); }
  };
  explicit StoreBackup(std::filesystem::path file);
  Result<bool> has_ended();

  std::filesystem::path file_, aside_;
  std::unique_ptr<Database> copy_;
  std::unique_ptr<sqlite3_backup, Finish> backup_;
  std::future<Result<void>> end_;
};

// Puts a copy of a store in the place of `store`, marked as restored: at its next start the KME burns all that it
// holds. The store that was there is moved to <store>.before-restore, or -2, -3 … of it. kClosed: somebody uses the
// store. kInvalid: `backup` is no store that this build knows. Until the last step a crash leaves the old store, or one
// that no daemon starts with.
Result<void> restore_store(const std::filesystem::path& backup, const std::filesystem::path& store);

}  // namespace qkms::storage
