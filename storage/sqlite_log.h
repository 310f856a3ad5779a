// The write-ahead log of a store that was not closed, and what SQLite does not do for it.
#pragma once

#include <filesystem>

#include "base/error.h"

namespace qkms::storage {

// Where SQLite keeps it.
inline std::filesystem::path log_of(const std::filesystem::path& file) { return file.string() + "-wal"; }

// Writes the log of the store in `file`, if there is one, over itself and syncs it.
//
// Why: when a sync fails, Linux tells it once, marks the pages as written, and goes on to show them to whoever reads.
// A process that starts after that would take such a commit for durable, append to the log behind it, and lose all of
// it at the next power cut, since the medium has a hole there. What was written again is synced again. The bytes stay
// as they were, so a power cut in the middle leaves the log no worse. The database file needs none of this: what a
// checkpoint could not sync is still in the log, and the next checkpoint writes it again.
//
// Goes through SQLite's default VFS, so that tests see it. The caller has the store open in exclusive locking mode and
// commits nothing meanwhile.
Result<void> settle_log(const std::filesystem::path& file);

}  // namespace qkms::storage
