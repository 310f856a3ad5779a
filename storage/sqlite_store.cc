// See sqlite_store.h. This file decides what a commit's outcome was; the rows are in sqlite_tables.h.
#include "storage/sqlite_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cassert>

#include "base/failpoint.h"
#include "storage/data_keys.h"
#include "storage/master_key.h"
#include "storage/sqlite_log.h"
#include "storage/sqlite_schema.h"
#include "storage/sqlite_tables.h"

namespace qkms::storage {

using kms::Changes;
using kms::CommitOutcome;

struct SqliteStore::Tables {
  Tables(Database& database, Sealer& sealer)
      : names(database),
        node(TableContext{database, sealer, names}),
        peers(TableContext{database, sealer, names}),
        extents(TableContext{database, sealer, names}),
        blocks(TableContext{database, sealer, names}),
        seen_blocks(TableContext{database, sealer, names}),
        assignments(TableContext{database, sealer, names}),
        outbox(TableContext{database, sealer, names}) {}

  Result<void> load() {
    if (Result<void> loaded = names.load(); !loaded) return loaded;
    if (Result<void> loaded = blocks.load_index(); !loaded) return loaded;
    return seen_blocks.load_positions();
  }

  Names names;
  NodeTable node;
  PeerTable peers;
  ExtentTable extents;
  BlockTable blocks;
  SeenBlockTable seen_blocks;
  AssignmentTable assignments;
  OutboxTable outbox;
};

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

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::filesystem::path& file, SecretBytes master_key) {
  assert(master_key.size() == kMasterKeyBytes);
  Result<StoreLock> lock = StoreLock::acquire(file);
  if (!lock) return std::unexpected(lock.error());
  if (at_failpoint(Failpoint::kStoreOpen) != Fault::kNone) return fail(ErrorCode::kIo, "a failpoint");
  if (Result<void> made = make_or_check_file(file); !made) return std::unexpected(made.error());
  Result<std::unique_ptr<Database>> database = Database::open(file);
  if (!database) return about(file, database.error());
  std::unique_ptr<SqliteStore> store(new SqliteStore(std::move(*lock), std::move(*database), std::move(master_key)));
  if (Result<void> prepared = store->prepare(); !prepared) return about(file, prepared.error());
  // Now that SQLite holds the file's lock, and before anybody acts upon what was read.
  if (Result<void> settled = settle_log(file); !settled) return about(file, settled.error());
  store->places_ = {FilePlace(file), FilePlace(log_of(file))};
  return store;
}

SqliteStore::SqliteStore(StoreLock lock, std::unique_ptr<Database> database, SecretBytes master_key)
    : lock_(std::move(lock)),
      database_(std::move(database)),
      sealer_(std::move(master_key)),
      begin_(*database_, "BEGIN IMMEDIATE"),
      commit_(*database_, "COMMIT"),
      rollback_(*database_, "ROLLBACK") {}

SqliteStore::~SqliteStore() = default;

Result<void> SqliteStore::prepare() {
  if (Result<void> prepared = prepare_schema(*database_); !prepared) return prepared;
  if (database_->read_only()) return fail(ErrorCode::kIo, "it cannot be written to");
  if (Result<void> opened = open_data_keys(*database_, sealer_); !opened) return opened;
  return make_tables();
}

Result<void> SqliteStore::make_tables() {
  tables_ = std::make_unique<Tables>(*database_, sealer_);
  return tables_->load();
}

Result<kms::Snapshot> SqliteStore::load_all() {
  if (latched_) return latched_error();
  kms::Snapshot snapshot;
  Result<kms::NodeRow> node = tables_->node.load();
  if (!node) return trouble_with(node.error());
  snapshot.node = std::move(*node);
  const Result<void> loaded = in_order([&] { return tables_->peers.load(snapshot); },    //
                                       [&] { return tables_->extents.load(snapshot); },  //
                                       [&] { return tables_->blocks.load(snapshot); },   //
                                       [&] { return tables_->outbox.load(snapshot); },   //
                                       [&] { return tables_->seen_blocks.load(snapshot); });
  if (!loaded) return trouble_with(loaded.error());
  return snapshot;
}

Result<kms::Loaded> SqliteStore::load(const kms::Needs& needs) {
  if (latched_) return latched_error();
  kms::Loaded loaded;
  const Result<void> done = in_order(
      [&] { return each(needs.extent_bits, [&](const auto& key) { return tables_->extents.load_bits(key, loaded); }); },
      [&] { return each(needs.assignments, [&](const auto& id) { return tables_->assignments.load(id, loaded); }); },
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
  if (Result<void> begun = begin_.run(); !begun) return give_up(begun.error(), false);
  if (Result<void> applied = apply(changes); !applied) return give_up(applied.error(), false);
  if (Result<void> passed = pass(Failpoint::kStoreBeforeCommit, *database_); !passed) {
    return give_up(passed.error(), true);
  }
  if (Result<void> committed = commit_.run(); !committed) return give_up(committed.error(), true);
  if (at_failpoint(Failpoint::kStoreAfterCommit) != Fault::kNone) return latch("a failpoint");
  if (std::ranges::any_of(places_, [](FilePlace& place) { return !place.holds(); })) {
    return latch("the store or its write-ahead log was removed or replaced while it is open");
  }
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
  if (done) return CommitOutcome::kDurable;
  if (is_write_error(database_->failure_code())) return latch(done.error().text);
  trouble_ = done.error().text;
  return CommitOutcome::kDurable;
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
  return in_order(
      [&] { return changes.node ? t.node.put(*changes.node) : Result<void>{}; },
      [&] { return each(changes.put_peers, [&](const auto& row) { return t.peers.put(row); }); },
      [&] { return each(changes.new_extents, [&](const auto& e) { return t.extents.add(e.first, e.second); }); },
      [&] { return each(changes.moved_extents, [&](const auto& row) { return t.extents.move(row); }); },
      [&] { return each(changes.dropped_extents, [&](const auto& key) { return t.extents.drop(key); }); },
      [&] { return each(changes.new_blocks, [&](const auto& row) { return t.blocks.add(row); }); },
      [&] { return each(changes.dropped_blocks, [&](const auto& b) { return t.blocks.drop(b.first, b.second); }); },
      [&] { return each(changes.seen_blocks, [&](const auto& seen) { return t.seen_blocks.add(seen); }); },
      [&] { return each(changes.put_assignments, [&](const auto& row) { return t.assignments.put(row); }); },
      [&] { return each(changes.dropped_assignments, [&](const auto& id) { return t.assignments.drop(id); }); },
      [&] { return apply_outbox(changes); });
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
  // The tables' image of names, blocks and positions may be ahead of what was rolled back. Without one only a restart
  // helps, and that is what "unknown" calls for.
  if (Result<void> made = make_tables(); !made) return latch(made.error().text);
  return CommitOutcome::kFailed;
}

Result<void> SqliteStore::limit_pages(std::uint32_t pages) {
  constexpr std::uint32_t kSqliteMaximum = 1073741823;
  const std::string sql = "PRAGMA max_page_count = " + std::to_string(pages == 0 ? kSqliteMaximum : pages);
  return database_->execute(sql.c_str());
}

}  // namespace qkms::storage
