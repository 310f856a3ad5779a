// Stores of format 1, as qkms wrote them before there were epochs: how their rows open, and how such a store becomes
// one of today's format. This file changes no more, except for what today's side of it asks.
//
// In format 1 each opening of the store had a data key, HKDF-SHA-256 of the master key and a salt in the table
// data_key; so whoever had the master key could open everything that ever was. peer rows were not sealed, node rows in
// part.
#pragma once

#include <filesystem>

#include "storage/sealing.h"
#include "storage/sqlite_tables.h"

namespace qkms::storage {

// The schema of a store of format 1, as it was written.
extern const char* const kSchemaOfFormat1;

class Format1 {
 public:
  // `database` has format 1. kInvalid when the master key is another one.
  static Result<Format1> read_keys(Database& database, const SecretBytes& master_key);

  Result<SecretBytes> open(const AssociatedData& place, Bytes sealed);

 private:
  std::map<std::uint32_t, Aead> keys_;
};

// Copies the store to <store>.v1, mode 0600, in place of such a copy that is there already.
Result<void> keep_copy_of_format1(Database& database, const std::filesystem::path& store);

// Brings all rows over, in a transaction of the caller's. Rows that do not open are left behind, as if they had been
// lost; returns how many.
Result<std::uint64_t> migrate_format1(Database& database, Format1& old, Sealing& sealing);

}  // namespace qkms::storage
