// The data keys of a store file: known ones are read, the master key is checked against them, and a fresh one is made
// for this opening.
#pragma once

#include "storage/sealer.h"
#include "storage/sqlite_database.h"

namespace qkms::storage {

// Afterwards `sealer` opens what any earlier opening sealed, and seals under a data key that nobody used before. That
// key's row is durable on return, so that nothing is ever sealed under a key that a crash could lose. kInvalid when the
// master key is another one.
Result<void> open_data_keys(Database& database, Sealer& sealer);

}  // namespace qkms::storage
