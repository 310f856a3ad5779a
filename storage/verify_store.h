// Says whether a store that nobody uses is sound: its head and keyring fit, the census adds up, and every row opens.
// Changes nothing in it, nor in a write-ahead log that a crash left beside it.
#pragma once

#include <filesystem>

#include "storage/store_census.h"

namespace qkms::storage {

struct VerifyReport {
  struct Table {
    std::string name;
    std::uint64_t rows = 0;
    std::uint64_t unreadable = 0;  // of them
  };
  std::vector<Table> tables;
  std::vector<Discrepancy> discrepancies;
  bool behind_keyring = false;              // the file is an old copy
  Result<std::uint64_t> audit_records = 0;  // or where the audit log breaks

  bool sound() const;
};

// `keyring` empty: keyring_beside() the store. Errors as of SqliteStore::open; kClosed while somebody uses the store.
Result<VerifyReport> verify_store(const std::filesystem::path& store, const std::filesystem::path& keyring,
                                  SecretBytes master_key);

}  // namespace qkms::storage
