// For tests: a history of commits whose contents are known, so that any state of a store tells how far it has come, or
// that it is none that the history went through.
#pragma once

#include <expected>
#include <filesystem>
#include <memory>
#include <string>

#include "storage/sqlite_store.h"

namespace qkms::storage {

// The one place where tests of faults open a store.
Result<std::unique_ptr<SqliteStore>> open_history(const std::filesystem::path& file);

// Commit i, from 1: it says so in several tables, and takes away what commit i - 5 brought.
kms::Changes history_commit(std::uint64_t i, std::size_t assignment_bytes = 32);

// How many commits of the history the store holds, or what it holds that no number of them leaves.
std::expected<std::uint64_t, std::string> read_history(kms::Store& store);

}  // namespace qkms::storage
