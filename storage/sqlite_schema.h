// The tables of a store file. How an older file becomes a newer one: storage/format1.h. docs/store-format.md says what
// the columns mean.
#pragma once

#include "storage/sqlite_database.h"

namespace qkms::storage {

// "qkms" in ASCII: PRAGMA application_id of every store.
inline constexpr std::int64_t kApplicationId = 0x716b6d73;
// PRAGMA user_version: the format that this build writes.
inline constexpr std::int64_t kSchemaVersion = 2;

// Sets up the connection and gives the version of the file, 0 for a new one. Refuses what is no store, and a store of a
// newer version (kInvalid), and one with a schema that is not its version's (kCorrupt); leaves them as they are.
Result<std::int64_t> prepare_schema(Database& database);

// The tables of kSchemaVersion and that version, inside a transaction of the caller's.
Result<void> create_tables(Database& database);

}  // namespace qkms::storage
