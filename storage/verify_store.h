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
    std::uint64_t destroyed = 0;   // of those: the key of their epoch is destroyed
  };
  std::vector<Table> tables;
  std::vector<Discrepancy> discrepancies;
  bool behind_keyring = false;              // the file is an old copy
  bool marked_as_restored = false;          // all that it holds is burned at the next start
  Result<std::uint64_t> audit_records = 0;  // or where the audit log breaks

  // An old copy is sound when it is marked as restored; rows of destroyed epochs do no harm in it.
  bool sound() const;
};

// `keyring` empty: keyring_beside() the store. Errors as of SqliteStore::open; kClosed while somebody uses the store.
Result<VerifyReport> verify_store(const std::filesystem::path& store, const std::filesystem::path& keyring,
                                  SecretBytes master_key);

}  // namespace qkms::storage
