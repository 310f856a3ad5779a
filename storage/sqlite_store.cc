// See sqlite_store.h. This file decides what a commit's outcome was; the rows are in sqlite_tables.h.
#include "storage/sqlite_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cassert>

#include "base/failpoint.h"
#include "storage/master_key.h"
#include "storage/sqlite_log.h"

namespace qkms::storage {

using kms::Changes;
using kms::CommitOutcome;

namespace {

constexpr off_t kMinDatabaseBytes = 512;  // the smallest page of the file format

// A power cut while a store is made may leave a log's header, and no store; SQLite writes more only when the header and
// the store are on the disk.
bool log_has_commits(const std::filesystem::path& file) {
  constexpr off_t kHeaderBytes = 32;
  struct stat status{};
  return ::lstat(log_of(file).c_str(), &status) == 0 && status.st_size > kHeaderBytes;
}

// Before SQLite sees the path: it would answer a directory or an unreadable file with the same few words, and create
// with other rights.
Result<void> make_or_check_file(const std::filesystem::path& file) {
  struct stat status{};
  const bool exists = ::lstat(file.c_str(), &status) == 0;
  if (exists && !S_ISREG(status.st_mode)) {
    return fail(ErrorCode::kInvalid, "the store " + file.string() + " is not a regular file");
  }
  // SQLite takes a file of one byte for an empty one.
  if (exists && status.st_size > 0 && status.st_size < kMinDatabaseBytes) {
    return fail(ErrorCode::kCorrupt, "the store " + file.string() + " is too short to be an SQLite database");
  }
  // SQLite would take it for a new store, and remove the log.
  if ((!exists || status.st_size == 0) && log_has_commits(file)) {
    return fail(ErrorCode::kCorrupt, "the store " + file.string() + " is gone or empty, but its write-ahead log " +
                                         log_of(file).string() + " is there: put the store back beside it, or move " +
                                         "the log away too and begin with a new store");
  }
  const FileDescriptor descriptor(::open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!descriptor.is_open()) return system_failure("cannot open the store", file);
  return exists ? Result<void>{} : sync_folder_of(file);
}

std::unexpected<Error> about(const std::filesystem::path& file, const Error& error) {
  return fail(error.code, "cannot open the store " + file.string() + ": " + error.text);
}

std::unexpected<Error> latched_error() {
  return fail(ErrorCode::kClosed, "the outcome of a commit is unknown: the store stays closed until a restart");
}

// What a failpoint makes of a step.
Result<void> pass(Failpoint point, Database& database) {
  switch (at_failpoint(point)) {
    case Fault::kNone:
      return {};
    case Fault::kError:
      return database.failure(SQLITE_IOERR_WRITE);
    case Fault::kDiskFull:
      return database.failure(SQLITE_FULL);
  }
  return {};
}

// Something may have reached the disk, or what did may not stay there.
bool is_write_error(int code) {
  return (code & 0xff) == SQLITE_IOERR && code != SQLITE_IOERR_READ && code != SQLITE_IOERR_SHORT_READ &&
         code != SQLITE_IOERR_NOMEM;
}

// A COMMIT that ends like this and was rolled back did not write its commit frame whole, or did not begin to write.
bool is_harmless_at_commit(int code) { return (code & 0xff) == SQLITE_FULL || (code & 0xff) == SQLITE_BUSY; }

template <class Rows, class Apply>
Result<void> each(const Rows& rows, const Apply& apply) {
  for (const auto& row : rows) {
    if (Result<void> applied = apply(row); !applied) return applied;
  }
  return {};
}

// Runs the steps in order until one fails.
template <class... Steps>
Result<void> in_order(const Steps&... steps) {
  Result<void> result;
  static_cast<void>(((result = steps(), result.has_value()) && ...));
  return result;
}

}  // namespace

std::filesystem::path keyring_beside(const std::filesystem::path& store) { return store.parent_path() / "keyring"; }

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::filesystem::path& file, SecretBytes master_key,
                                                       const StoreSettings& settings) {
  Result<StoreLock> lock = StoreLock::acquire(file);
  if (!lock) return std::unexpected(lock.error());
  return open(std::make_shared<const StoreLock>(std::move(*lock)), file, std::move(master_key), settings);
}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(std::shared_ptr<const StoreLock> lock,
                                                       const std::filesystem::path& file, SecretBytes master_key,
                                                       const StoreSettings& settings) {
  assert(master_key.size() == kMasterKeyBytes);
  if (at_failpoint(Failpoint::kStoreOpen) != Fault::kNone) return fail(ErrorCode::kIo, "a failpoint");
  if (Result<void> made = make_or_check_file(file); !made) return std::unexpected(made.error());
  std::error_code ignored;
  Result<std::unique_ptr<Database>> database = Database::open(file);
  if (!database) return about(file, database.error());
  // Until it is settled, a log that is there stays as it is, whatever becomes of this opening.
  if (std::filesystem::exists(log_of(file), ignored)) (*database)->leave_log();
  std::unique_ptr<SqliteStore> store(new SqliteStore(std::move(lock), std::move(*database)));
  if (Result<void> prepared = store->prepare(file, std::move(master_key), settings); !prepared) {
    return about(file, prepared.error());
  }
  store->places_ = {FilePlace(file), FilePlace(log_of(file))};
  return store;
}

SqliteStore::SqliteStore(std::shared_ptr<const StoreLock> lock, std::unique_ptr<Database> database)
    : lock_(std::move(lock)),
      database_(std::move(database)),
      begin_(*database_, "BEGIN IMMEDIATE"),
      commit_(*database_, "COMMIT"),
      rollback_(*database_, "ROLLBACK") {}

SqliteStore::~SqliteStore() = default;

Result<void> SqliteStore::prepare(const std::filesystem::path& file, SecretBytes master_key,
                                  const StoreSettings& settings) {
  const std::filesystem::path keyring = settings.keyring.empty() ? keyring_beside(file) : settings.keyring;
  Result<OpenedStore> opened = open_store(*database_, file, keyring, std::move(master_key), settings.epochs);
  if (!opened) return std::unexpected(opened.error());
  sealing_ = std::move(opened->sealing);
  quarantined_ = std::move(opened->quarantined);
  dropped_rows_ = opened->left_behind;
  for (const Quarantined& group : quarantined_) dropped_rows_ += group.rows;
  copy_of_epoch_ = opened->copy_of_epoch;
  behind_keyring_ = copy_of_epoch_.has_value();
  durable_audit_ = opened->audit;
  audit_bytes_ = settings.audit_bytes;
  return make_tables();
}

Result<void> SqliteStore::make_tables() {
  tables_ = std::make_unique<Tables>(*database_, sealing_->rows());
  head_ = std::make_unique<HeadTable>(*database_, sealing_->sealer());
  resealing_ = std::make_unique<Resealing>(*database_, tables_->names, *sealing_);
  audit_ = std::make_unique<AuditTable>(*database_, durable_audit_);
  audit_->keep_bytes(audit_bytes_);
  return tables_->load();
}

Result<kms::Snapshot> SqliteStore::load_all() {
  if (latched_) return latched_error();
  kms::Snapshot snapshot;
  Result<kms::NodeRow> node = tables_->node.load();
  if (!node) return trouble_with(node.error());
  snapshot.node = std::move(*node);
  self_ = snapshot.node.self;
  // The keyring has seen what came after this file: whoever put it back need not have said so.
  if (copy_of_epoch_) snapshot.node.restored = true;
  const Result<void> loaded = in_order([&] { return tables_->peers.load(snapshot); },    //
                                       [&] { return tables_->extents.load(snapshot); },  //
                                       [&] { return tables_->blocks.load(snapshot); },   //
                                       [&] { return tables_->outbox.load(snapshot); },   //
                                       [&] { return tables_->seen_blocks.load(snapshot); });
  if (!loaded) return trouble_with(loaded.error());
  snapshot.unreadable += dropped_rows_;
  return snapshot;
}

Result<kms::Loaded> SqliteStore::load(const kms::Needs& needs) {
  if (latched_) return latched_error();
  kms::Loaded loaded;
  const Result<void> done = in_order(
      [&] { return each(needs.extent_bits, [&](const auto& key) { return tables_->extents.load_bits(key, loaded); }); },
      [&] { return tables_->assignments.load(needs.assignments, loaded); },
      [&] {
        if (!needs.expired_at) return Result<void>{};
        return tables_->assignments.load_expired(*needs.expired_at, loaded, reported_);
      });
  if (!done) return trouble_with(done.error());
  return loaded;
}

std::unexpected<Error> SqliteStore::trouble_with(const Error& error) {
  trouble_ = error.text;
  return std::unexpected(error);
}

CommitOutcome SqliteStore::commit(Changes changes) {
  if (latched_) return CommitOutcome::kFailed;
  database_->forget_failure();
  if (Result<void> passed = pass(Failpoint::kStoreBegin, *database_); !passed) return give_up(passed.error(), false);
  sealing_->before_commit();
  if (Result<void> begun = begin_.run(); !begun) return give_up(begun.error(), false);
  const Result<void> applied =
      in_order([&] { return apply(changes); }, [&] { return resealing_->step(); }, [&] { return put_head(changes); });
  if (!applied) return give_up(applied.error(), false);
  if (Result<void> passed = pass(Failpoint::kStoreBeforeCommit, *database_); !passed) {
    return give_up(passed.error(), true);
  }
  if (Result<void> committed = commit_.run(); !committed) return give_up(committed.error(), true);
  if (at_failpoint(Failpoint::kStoreAfterCommit) != Fault::kNone) return latch("a failpoint");
  if (std::ranges::any_of(places_, [](FilePlace& place) { return !place.holds(); })) {
    return latch("the store or its write-ahead log was removed or replaced while it is open");
  }
  sealing_->after_commit();
  tables_->assignments.forget_loaded();
  durable_audit_ = audit_->span();
  if (changes.burned) copy_of_epoch_.reset();
  trouble_.clear();
  return checkpoint_when_due();
}

// After a commit. A full disk leaves the log as it is, and the next commit tries again. Any other error of writing
// means that the disk does not do what it says: what was committed is in the log, but only a restart may go on from
// there.
CommitOutcome SqliteStore::checkpoint_when_due() {
  if (database_->log_pages() < checkpoint_pages_) return CommitOutcome::kDurable;
  Result<void> done = pass(Failpoint::kStoreCheckpoint, *database_);
  if (done) done = database_->checkpoint();
  if (done) ++checkpoints_;
  if (done) return CommitOutcome::kDurable;
  if (is_write_error(database_->failure_code())) return latch(done.error().text);
  trouble_ = done.error().text;
  return CommitOutcome::kDurable;
}

// Until a commit burns it, a store that was put back says in its head that it is a copy of an earlier epoch.
Result<void> SqliteStore::put_head(const Changes& changes) {
  const EpochId now = sealing_->sealer().epoch();
  const EpochId epoch = changes.burned ? now : copy_of_epoch_.value_or(now);
  return head_->put(sealing_->keyring().store_id(), epoch, sealing_->census(), tables_->names, audit_->span());
}

CommitOutcome SqliteStore::latch(std::string why) {
  trouble_ = std::move(why);
  latched_ = true;
  database_->leave_log();  // as it is, for the next opening to read
  return CommitOutcome::kUnknown;
}

// The order is that of kms::Changes.
Result<void> SqliteStore::apply(const Changes& changes) {
  Tables& t = *tables_;
  if (changes.node) self_ = changes.node->self;
  return in_order(
      [&] { return changes.burned ? burn() : Result<void>{}; },  //
      [&] { return changes.node ? t.node.put(*changes.node) : Result<void>{}; },
      [&] { return each(changes.put_peers, [&](const auto& row) { return t.peers.put(row); }); },
      [&] { return each(changes.new_extents, [&](const auto& e) { return t.extents.add(e.first, e.second); }); },
      [&] { return move_extents(changes); },
      [&] { return each(changes.dropped_extents, [&](const auto& key) { return t.extents.drop(key); }); },
      [&] { return each(changes.new_blocks, [&](const auto& row) { return t.blocks.add(row); }); },
      [&] { return each(changes.dropped_blocks, [&](const auto& b) { return t.blocks.drop(b.first, b.second); }); },
      [&] { return each(changes.seen_blocks, [&](const auto& seen) { return t.seen_blocks.add(seen); }); },
      [&] { return each(changes.put_assignments, [&](const auto& row) { return t.assignments.put(row); }); },
      [&] { return t.assignments.drop(changes.dropped_assignments); }, [&] { return apply_outbox(changes); },
      [&] { return audit_->append(self_, changes.audit); });
}

// What would be lost otherwise is how much of an extent is used. A batch that burns may have moved what it burns.
Result<void> SqliteStore::move_extents(const Changes& changes) {
  return each(changes.moved_extents, [&](const kms::ExtentRow& row) -> Result<void> {
    const Result<bool> moved = tables_->extents.move(row);
    if (!moved) return std::unexpected(moved.error());
    if (*moved || changes.burned) return {};
    return fail(ErrorCode::kInternal, "an extent that is to move is not stored");
  });
}

Result<void> SqliteStore::burn() {
  tables_->blocks.forget_all();
  tables_->assignments.forget_loaded();
  return drop_key_material(*database_, sealing_->rows());
}

Result<void> SqliteStore::apply_outbox(const Changes& changes) {
  OutboxTable& outbox = tables_->outbox;
  return in_order([&] { return each(changes.cleared_outboxes, [&](const auto& peer) { return outbox.clear(peer); }); },
                  [&] { return each(changes.new_outbox, [&](const auto& row) { return outbox.add(row); }); },
                  [&] {
                    return each(changes.acknowledged_outbox,
                                [&](const auto& a) { return outbox.acknowledge(a.first, a.second); });
                  });
}

// Rolls back and says what the disk may hold. When in doubt: unknown.
CommitOutcome SqliteStore::give_up(const Error& why, bool at_commit) {
  trouble_ = why.text;
  const int code = database_->failure_code();
  const bool rolled_back = !database_->in_transaction() || rollback_.run().has_value();
  if (!rolled_back || is_write_error(code) || (at_commit && !is_harmless_at_commit(code))) {
    return latch(why.text);
  }
  sealing_->after_rollback();
  // The tables' image of names, blocks and positions may be ahead of what was rolled back. Without one only a restart
  // helps, and that is what "unknown" calls for.
  if (Result<void> made = make_tables(); !made) return latch(made.error().text);
  return CommitOutcome::kFailed;
}

Result<AuditPage> SqliteStore::read_audit(std::uint64_t first, std::size_t bytes) {
  if (latched_) return latched_error();
  return audit_->read(first, bytes);
}

Result<std::unique_ptr<StoreBackup>> SqliteStore::begin_backup(const std::filesystem::path& file) {
  if (latched_) return latched_error();
  return StoreBackup::begin(*database_, file);
}

Result<void> SqliteStore::change_master_key(SecretBytes master_key) {
  if (latched_) return latched_error();
  return sealing_->change_master_key(std::move(master_key));
}

Result<void> SqliteStore::limit_pages(std::uint32_t pages) {
  constexpr std::uint32_t kSqliteMaximum = 1073741823;
  const std::string sql = "PRAGMA max_page_count = " + std::to_string(pages == 0 ? kSqliteMaximum : pages);
  return database_->execute(sql.c_str());
}

}  // namespace qkms::storage
