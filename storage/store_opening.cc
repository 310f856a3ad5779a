// See store_opening.h.
// The order matters: the new epoch's key is durable before the transaction that seals under it, and the keyring learns
// only after that transaction that the store is there. A crash in between begins again with the same keyring.
#include "storage/store_opening.h"

#include "base/failpoint.h"
#include "storage/format1.h"
#include "storage/sqlite_audit.h"
#include "storage/sqlite_log.h"
#include "storage/sqlite_schema.h"

namespace qkms::storage {
namespace {

// For a store that has no keyring of its own yet. One that was made for it before a crash is taken up again.
Result<std::unique_ptr<Keyring>> keyring_for_new(const std::filesystem::path& file, SecretBytes master_key) {
  Result<std::unique_ptr<Keyring>> ring = Keyring::read(file, SecretBytes::copy_of(master_key.reveal()));
  if (!ring && ring.error().code == ErrorCode::kNotFound) return Keyring::create(file, std::move(master_key));
  if (!ring || (*ring)->head_epoch() == 0) return ring;
  return fail(ErrorCode::kInvalid, "it is new, but the keyring " + file.string() +
                                       " belongs to a store that was here before: put that store back, or move its "
                                       "keyring away to begin anew");
}

Result<KnownStore> find_keyring(Database& database, std::int64_t version, const std::filesystem::path& file,
                                SecretBytes master_key) {
  if (version == kSchemaVersion) return recognise(database, file, std::move(master_key));
  Result<std::unique_ptr<Keyring>> ring = keyring_for_new(file, std::move(master_key));
  if (!ring) return std::unexpected(ring.error());
  return KnownStore{std::move(*ring), {}};
}

// Compares the file with its head and drops the groups that differ.
Result<void> count_and_compare(Database& database, const Head& head, OpenedStore& opened) {
  Sealing& sealing = *opened.sealing;
  opened.audit = head.audit;
  if (Result<void> whole = AuditTable(database, head.audit).check_ends(); !whole) return whole;
  if (head.epoch < sealing.keyring().head_epoch()) opened.copy_of_epoch = head.epoch;
  Names names(database);
  if (Result<void> loaded = names.load(); !loaded) return loaded;
  if (Result<void> counted = count_all_rows(database, sealing.census()); !counted) return counted;
  const Result<std::vector<Discrepancy>> found = compare(database, sealing.sealer(), sealing.census(), names, head);
  if (!found) return std::unexpected(found.error());
  for (const Discrepancy& discrepancy : *found) {
    if (discrepancy.group == kOwnGroup) {
      return fail(ErrorCode::kCorrupt, "its own row (node) is not the last one that was written: " + discrepancy.why);
    }
    const Result<std::uint64_t> rows = drop_group(database, sealing.rows(), discrepancy.group);
    if (!rows) return std::unexpected(rows.error());
    opened.quarantined.push_back({discrepancy.name, discrepancy.why, *rows});
  }
  return {};
}

// What is there before this opening.
struct Found {
  std::int64_t version = 0;
  Format1 format1;  // of version 1
  Head head;        // of kSchemaVersion
};

Result<void> bring_up_to_date(Database& database, Found& found, OpenedStore& opened) {
  if (found.version == 0) return create_tables(database);
  if (found.version == kSchemaVersion) return count_and_compare(database, found.head, opened);
  const Result<std::uint64_t> lost = migrate_format1(database, found.format1, *opened.sealing);
  if (!lost) return std::unexpected(lost.error());
  opened.left_behind = *lost;
  return {};
}

// Of a store that was put back, the head goes on to say so: this start may end before anything is burned.
Result<void> put_head(Database& database, OpenedStore& opened) {
  Sealing& sealing = *opened.sealing;
  const EpochId epoch = opened.copy_of_epoch.value_or(sealing.sealer().epoch());
  Names names(database);
  if (Result<void> loaded = names.load(); !loaded) return loaded;
  return HeadTable(database, sealing.sealer())
      .put(sealing.keyring().store_id(), epoch, sealing.census(), names, opened.audit);
}

Result<void> run_transaction(Database& database, Found& found, OpenedStore& opened) {
  if (Result<void> begun = database.execute("BEGIN IMMEDIATE"); !begun) return begun;
  if (Result<void> done = bring_up_to_date(database, found, opened); !done) return done;
  if (Result<void> put = put_head(database, opened); !put) return put;
  if (at_failpoint(Failpoint::kStoreMigrate) != Fault::kNone) return fail(ErrorCode::kIo, "a failpoint");
  return database.execute("COMMIT");
}

}  // namespace

Result<KnownStore> recognise(Database& database, const std::filesystem::path& keyring, SecretBytes master_key) {
  const Result<std::optional<StoreId>> id = read_store_id(database);
  if (!id) return std::unexpected(id.error());
  if (!*id) return fail(ErrorCode::kCorrupt, "its head, which says what must be in it, is missing or damaged");
  Result<std::unique_ptr<Keyring>> ring = Keyring::read(keyring, std::move(master_key));
  if (!ring && ring.error().code == ErrorCode::kNotFound) {
    return fail(ErrorCode::kCorrupt, "its keyring " + keyring.string() +
                                         " is missing, and without it no row opens: put it back. If it is lost, so are "
                                         "the keys in the store: move the store away to begin anew");
  }
  if (!ring) return std::unexpected(ring.error());
  if ((*ring)->store_id() != **id) {
    return fail(ErrorCode::kInvalid, "the keyring " + keyring.string() + " belongs to another store");
  }
  Sealer sealer(**ring);
  Result<Head> head = HeadTable(database, sealer).load(**id);
  if (!head) return std::unexpected(head.error());
  if (head->epoch > (*ring)->last_epoch()) {
    return fail(ErrorCode::kCorrupt, "the keyring " + keyring.string() +
                                         " is an old copy that lacks the latest keys: put the latest one in its place");
  }
  return KnownStore{std::move(*ring), std::move(*head)};
}

Result<OpenedStore> open_store(Database& database, const std::filesystem::path& store,
                               const std::filesystem::path& keyring, SecretBytes master_key,
                               const EpochSettings& settings) {
  const Result<std::int64_t> version = prepare_schema(database);
  if (!version) return std::unexpected(version.error());
  if (database.read_only()) return fail(ErrorCode::kIo, "it cannot be written to");
  // Now that SQLite holds the file's lock, and before anybody acts upon what was read: keys are destroyed below.
  if (Result<void> settled = settle_log(store); !settled) return std::unexpected(settled.error());
  database.take_log_in();
  Found found{.version = *version, .format1 = {}, .head = {}};
  if (*version == 1) {
    Result<Format1> keys = Format1::read_keys(database, master_key);  // before a keyring is made for a wrong one
    if (!keys) return std::unexpected(keys.error());
    found.format1 = std::move(*keys);
    if (Result<void> kept = keep_copy_of_format1(database, store); !kept) return std::unexpected(kept.error());
  }
  Result<KnownStore> known = find_keyring(database, *version, keyring, std::move(master_key));
  if (!known) return std::unexpected(known.error());
  found.head = std::move(known->head);
  Result<std::unique_ptr<Sealing>> sealing = Sealing::begin(std::move(known->keyring), settings);
  if (!sealing) return std::unexpected(sealing.error());
  OpenedStore opened;
  opened.sealing = std::move(*sealing);
  if (Result<void> done = run_transaction(database, found, opened); !done) return std::unexpected(done.error());
  opened.sealing->census().settle();
  // What stands in the write-ahead log from before opens with the master key alone.
  if (*version == 1) {
    Result<void> done = database.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    if (!done) return std::unexpected(done.error());
  }
  if (Result<void> done = opened.sealing->destroy_spent_keys(); !done) return std::unexpected(done.error());
  return opened;
}

}  // namespace qkms::storage
