// The store of qkmsd: one SQLite file in WAL mode, with sealed rows, and a keyring. docs/store-format.md is its
// specification.
//
// What would surprise: after a commit whose outcome is unknown the store is latched, and every later call fails. Only a
// new process, whose opening recovers the WAL, can tell what became of it.
//
// Operation: as kms::Store. Concurrency: one thread; another process on the same file is refused.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "kms/store.h"
#include "storage/resealing.h"
#include "storage/sqlite_audit.h"
#include "storage/sqlite_database.h"
#include "storage/store_backup.h"
#include "storage/store_lock.h"
#include "storage/store_opening.h"

namespace qkms::storage {

struct StoreSettings {
  std::filesystem::path keyring;  // empty: keyring_beside() the store
  EpochSettings epochs;
  std::uint64_t audit_bytes = kDefaultAuditBytes;  // of the audit log that are kept
};

// <folder of the store>/keyring
std::filesystem::path keyring_beside(const std::filesystem::path& store);

// 4 MiB: as large as the log may stay (PRAGMA journal_size_limit).
inline constexpr std::uint32_t kCheckpointPages = 1000;

class SqliteStore final : public kms::Store {
 public:
  // Opens the store, or makes it and its keyring when there is no file or an empty one. `master_key` is kMasterKeyBytes
  // long. Errors name the file and say what to do: no store at all, a newer version, another master key or keyring
  // (kInvalid), in use (kClosed), damaged, or without its keyring (kCorrupt).
  static Result<std::unique_ptr<SqliteStore>> open(const std::filesystem::path& file, SecretBytes master_key,
                                                   const StoreSettings& settings = {});
  // Under a lock that the caller keeps.
  static Result<std::unique_ptr<SqliteStore>> open(std::shared_ptr<const StoreLock> lock,
                                                   const std::filesystem::path& file, SecretBytes master_key,
                                                   const StoreSettings& settings);
  ~SqliteStore() override;

  Result<kms::Snapshot> load_all() override;
  Result<kms::Loaded> load(const kms::Needs& needs) override;
  kms::CommitOutcome commit(kms::Changes changes) override;

  // Why the last call that failed did so, for the operator. Empty when the last commit succeeded.
  const std::string& trouble() const { return trouble_; }

  // What this opening found amiss and dropped, for the operator.
  const std::vector<Quarantined>& quarantined() const { return quarantined_; }
  // How often the log was copied into the database file since the opening.
  std::uint64_t checkpoints() const { return checkpoints_; }
  // True when the keyring knows of a later state of this store: the file is an old copy.
  bool is_behind_keyring() const { return behind_keyring_; }

  // The audit log: see AuditTable.
  Result<AuditPage> read_audit(std::uint64_t first, std::size_t bytes);

  // A copy of it while it is open: see StoreBackup.
  Result<std::unique_ptr<StoreBackup>> begin_backup(const std::filesystem::path& file);
  // From now on the keyring is wrapped under this one, kMasterKeyBytes long; durable on return. Rows stay as they are.
  // Errors: see Keyring::change_master_key().
  Result<void> change_master_key(SecretBytes master_key);
  bool master_key_in_doubt() const { return sealing_->keyring().master_key_in_doubt(); }

  // A limit for the file, in pages of 4096 bytes; 0 takes it away. Above it a commit fails as on a full disk.
  Result<void> limit_pages(std::uint32_t pages);

  // The log is checkpointed by the commit that brings it to this many pages. For tests; kCheckpointPages by itself.
  void checkpoint_from(std::uint32_t log_pages) { checkpoint_pages_ = log_pages; }

 private:
  SqliteStore(std::shared_ptr<const StoreLock> lock, std::unique_ptr<Database> database);
  Result<void> prepare(const std::filesystem::path& file, SecretBytes master_key, const StoreSettings& settings);
  Result<void> make_tables();
  Result<void> apply(const kms::Changes& changes);
  Result<void> burn();
  Result<void> move_extents(const kms::Changes& changes);
  Result<void> apply_outbox(const kms::Changes& changes);
  Result<void> put_head(const kms::Changes& changes);
  kms::CommitOutcome give_up(const Error& why, bool at_commit);
  kms::CommitOutcome checkpoint_when_due();
  kms::CommitOutcome latch(std::string why);
  std::unexpected<Error> trouble_with(const Error& error);

  std::shared_ptr<const StoreLock> lock_;  // first in, last out
  std::unique_ptr<Database> database_;
  std::unique_ptr<Sealing> sealing_;
  Statement begin_, commit_, rollback_;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<HeadTable> head_;
  std::unique_ptr<AuditTable> audit_;
  std::unique_ptr<Resealing> resealing_;
  std::set<kms::AssignmentId> reported_;  // unreadable ones that the expiry look-up has counted already
  std::vector<Quarantined> quarantined_;
  std::uint64_t dropped_rows_ = 0;  // with them
  bool behind_keyring_ = false;
  std::optional<EpochId> copy_of_epoch_;  // since it is behind, until a commit has burned what it holds
  KmeId self_;                            // as loaded: the audit log names it
  AuditSpan durable_audit_;
  std::uint64_t audit_bytes_ = 0;
  std::vector<FilePlace> places_;  // of the store and its log
  std::uint32_t checkpoint_pages_ = kCheckpointPages;
  std::uint64_t checkpoints_ = 0;
  bool latched_ = false;
  std::string trouble_;
};

}  // namespace qkms::storage
