// The tables of a store file and how an older file becomes a newer one. docs/store-format.md says what the columns
// mean.
#pragma once

#include "storage/sqlite_database.h"

namespace qkms::storage {

// "qkms" in ASCII: PRAGMA application_id of every store.
inline constexpr std::int64_t kApplicationId = 0x716b6d73;
// PRAGMA user_version: the format that this build writes.
inline constexpr std::int64_t kSchemaVersion = 1;

// Sets up the connection, makes the tables of a new file, or brings an older file to kSchemaVersion in one transaction.
// Refuses what is no store, and a store of a newer version.
Result<void> prepare_schema(Database& database);

}  // namespace qkms::storage
