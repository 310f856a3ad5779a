// See sqlite_schema.h.
// What would surprise: no column with random content has an index, and every key counts up. With a million rows
// present, inserting under a random key costs ten times as much as under a sequential one (architecture, "Locality
// decides the speed").
#include "storage/sqlite_schema.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <vector>

#include "base/text.h"
#include "storage/format1.h"

namespace qkms::storage {
namespace {

// Nobody else has business in the file while it is open; the lock keeps an operator's sqlite3 shell from writing too.
// Set before the file is first read, it also lets WAL work without a -shm file.
constexpr const char* kExclusive = "PRAGMA locking_mode = EXCLUSIVE";

constexpr const char* kConnectionSettings =
    // A commit is one append and one sync.
    "PRAGMA journal_mode = WAL;"
    // Sync the WAL at every commit: durable means durable.
    "PRAGMA synchronous = FULL;"
    // Overwrite what is deleted with zeroes, in the tables' own pages as well as in freed ones.
    "PRAGMA secure_delete = ON;"
    // After a burst the WAL shrinks back, so that old (sealed) rows do not linger in it.
    "PRAGMA journal_size_limit = 4194304;"
    // Sorters and statement journals never reach a disk.
    "PRAGMA temp_store = MEMORY;"
    // Look at pages with suspicion: a damaged one is an error, not a wild read.
    "PRAGMA cell_size_check = ON;"
    "PRAGMA mmap_size = 0;"
    // Nothing in a file's schema may call functions with side effects. Foreign keys stay off: no table declares any.
    "PRAGMA trusted_schema = OFF;";

// A file's schema is compared with this text, letter by letter: whoever changes it makes a new format.
constexpr const char* kTables = R"sql(
CREATE TABLE head (
  one INTEGER PRIMARY KEY CHECK (one = 1), store BLOB NOT NULL, seal BLOB NOT NULL) STRICT;
CREATE TABLE name (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE node (
  one INTEGER PRIMARY KEY CHECK (one = 1), self TEXT NOT NULL, incarnation INTEGER NOT NULL,
  record_limit INTEGER NOT NULL, time INTEGER NOT NULL, ordinal INTEGER NOT NULL, life INTEGER NOT NULL,
  progress INTEGER NOT NULL, secrets BLOB NOT NULL, restored INTEGER NOT NULL) STRICT;
CREATE TABLE peer (
  peer INTEGER PRIMARY KEY, peer_id_key BLOB NOT NULL, heard_proof BLOB NOT NULL, pair_epoch INTEGER NOT NULL, peer_incarnation INTEGER NOT NULL,
  sent INTEGER NOT NULL, acknowledged INTEGER NOT NULL, received INTEGER NOT NULL, next_extent INTEGER NOT NULL,
  last_record INTEGER NOT NULL, bits_in INTEGER NOT NULL, macs INTEGER NOT NULL, quarantined INTEGER NOT NULL,
  in_flight INTEGER NOT NULL, held INTEGER NOT NULL, delivered INTEGER NOT NULL, pads INTEGER NOT NULL,
  burned INTEGER NOT NULL, expired INTEGER NOT NULL, told_ordinal INTEGER NOT NULL, told_life INTEGER NOT NULL,
  told_progress INTEGER NOT NULL, heard_ordinal INTEGER NOT NULL, heard_life INTEGER NOT NULL,
  heard_progress INTEGER NOT NULL, seal BLOB NOT NULL) STRICT;
CREATE TABLE extent (
  peer INTEGER NOT NULL, id INTEGER NOT NULL, owner INTEGER NOT NULL, size INTEGER NOT NULL, front INTEGER NOT NULL,
  seal BLOB NOT NULL, PRIMARY KEY (peer, id)) STRICT, WITHOUT ROWID;
CREATE TABLE extent_bits (
  peer INTEGER NOT NULL, id INTEGER NOT NULL, bits BLOB NOT NULL, PRIMARY KEY (peer, id)) STRICT, WITHOUT ROWID;
CREATE TABLE block (
  number INTEGER PRIMARY KEY, link INTEGER NOT NULL, block BLOB NOT NULL, received_at INTEGER NOT NULL,
  bits BLOB NOT NULL) STRICT;
CREATE TABLE seen_block (
  link INTEGER NOT NULL, position INTEGER NOT NULL, block BLOB NOT NULL,
  PRIMARY KEY (link, position)) STRICT, WITHOUT ROWID;
CREATE TABLE assignment (
  issuer INTEGER NOT NULL, record INTEGER NOT NULL, master TEXT NOT NULL, slaves TEXT NOT NULL,
  key_count INTEGER NOT NULL, key_bytes INTEGER NOT NULL, expires_at INTEGER NOT NULL, on_ledger INTEGER NOT NULL,
  fetched BLOB NOT NULL, bits BLOB NOT NULL, PRIMARY KEY (issuer, record)) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
  peer INTEGER NOT NULL, sequence INTEGER NOT NULL, message BLOB NOT NULL,
  PRIMARY KEY (peer, sequence)) STRICT, WITHOUT ROWID;
CREATE TABLE audit (first INTEGER PRIMARY KEY, lines TEXT NOT NULL) STRICT;
)sql";

Result<void> set_up_connection(Database& database) {
  if (Result<void> set = database.execute(kConnectionSettings); !set) return set;
  // SQLite does not fail when it cannot switch; it keeps the old mode and says so.
  const Result<std::int64_t> is_wal = database.query_number("SELECT journal_mode = 'wal' FROM pragma_journal_mode");
  if (!is_wal) return std::unexpected(is_wal.error());
  if (*is_wal != 1) return fail(ErrorCode::kIo, "the store's file system does not allow write-ahead logging");
  return {};
}

// The version of the file, 0 for a new one.
Result<std::int64_t> version_of(Database& database) {
  const Result<std::int64_t> application = database.query_number("PRAGMA application_id");
  if (!application) return application;
  const Result<std::int64_t> version = database.query_number("PRAGMA user_version");
  if (!version) return version;
  const Result<std::int64_t> tables = database.query_number("SELECT count(*) FROM sqlite_schema");
  if (!tables) return tables;
  const bool is_new = *application == 0 && *version == 0 && *tables == 0;
  if (!is_new && (*application != kApplicationId || *version < 1)) {
    return fail(ErrorCode::kInvalid, "it is an SQLite database, but not a store of qkms");
  }
  return *version;
}

// Each thing that the file declares: type, name, its table's name, its text.
using Schema = std::vector<std::array<std::string, 4>>;

Result<Schema> schema_of(Database& database) {
  Schema schema;
  Statement select(database, "SELECT type, name, tbl_name, sql FROM sqlite_schema");
  const auto take = [&schema](Statement& row) -> Result<bool> {
    std::array<std::string, 4>& declared = schema.emplace_back();
    for (int column = 0; column < 4; ++column) declared[static_cast<std::size_t>(column)] = row.text(column);
    return true;
  };
  if (Result<void> read = select.for_each(take); !read) return std::unexpected(read.error());
  std::ranges::sort(schema);
  return schema;
}

Result<Schema> schema_of_format(std::int64_t version) {
  const Result<std::unique_ptr<Database>> model = Database::open(":memory:");
  if (!model) return std::unexpected(model.error());
  const char* const tables = version == 1 ? kSchemaOfFormat1 : kTables;
  if (Result<void> made = (*model)->execute(tables); !made) return std::unexpected(made.error());
  return schema_of(**model);
}

// What stands in sqlite_schema decides what each statement does: a trigger could keep a row that is deleted, a table
// without its primary key could hold one twice, and no seal would tell.
Result<void> check_schema(Database& database, std::int64_t version) {
  const Result<Schema> expected = schema_of_format(version), found = schema_of(database);
  if (!expected) return std::unexpected(expected.error());
  if (!found) return std::unexpected(found.error());
  Schema differs;
  std::ranges::set_symmetric_difference(*expected, *found, std::back_inserter(differs));
  if (differs.empty()) return {};
  return fail(ErrorCode::kCorrupt, "its schema is not that of a store of format " + std::to_string(version) + ": the " +
                                       printable(differs.front()[0]) + " " + printable(differs.front()[1]) +
                                       " is missing, was changed, or was added by somebody else");
}

}  // namespace

Result<std::int64_t> prepare_schema(Database& database) {
  if (Result<void> exclusive = database.execute(kExclusive); !exclusive) return std::unexpected(exclusive.error());
  // Before the other settings: WAL writes to the file, and what is not ours stays as it is.
  const Result<std::int64_t> version = version_of(database);
  if (!version) return version;
  if (*version > kSchemaVersion) {
    return fail(ErrorCode::kInvalid, "it was written by a newer qkms (format " + std::to_string(*version) +
                                         "; this one knows " + std::to_string(kSchemaVersion) +
                                         "): run that version, or restore a copy from before the upgrade");
  }
  if (*version != 0) {
    if (Result<void> sound = check_schema(database, *version); !sound) return std::unexpected(sound.error());
  }
  if (Result<void> set = set_up_connection(database); !set) return std::unexpected(set.error());
  return version;
}

Result<void> create_tables(Database& database) {
  const std::string sql = std::string(kTables) + "PRAGMA application_id = " + std::to_string(kApplicationId) +
                          "; PRAGMA user_version = " + std::to_string(kSchemaVersion);
  return database.execute(sql.c_str());
}

}  // namespace qkms::storage
