// The head of a store: one sealed row that every commit writes anew. It says which store this is, what its census was,
// and where its audit log begins and ends.
#pragma once

#include <optional>

#include "storage/audit_chain.h"
#include "storage/sqlite_tables.h"

namespace qkms::storage {

struct Head {
  // At the commit that wrote it. In a store that was put back: that of the copy, until a commit has burned what it
  // holds, so that every opening until then finds it behind its keyring.
  EpochId epoch = 0;
  struct Entry {
    std::string name;
    Tally tally;
  };
  std::map<Group, Entry> groups;
  AuditSpan audit;
};

class HeadTable {
 public:
  HeadTable(Database& database, Sealer& sealer) : sealer_(sealer), put_(database, kPut), select_(database, kSelect) {}

  Result<void> put(const StoreId& store, EpochId epoch, const Census& census, const Names& names,
                   const AuditSpan& audit);
  // kCorrupt when it does not open under this store's ID.
  Result<Head> load(const StoreId& store);

 private:
  static constexpr const char* kPut = "INSERT OR REPLACE INTO head VALUES (1, ?, ?)";
  static constexpr const char* kSelect = "SELECT seal FROM head";

  Sealer& sealer_;
  Statement put_, select_;
};

// The ID in the head, in clear; none when there is no head.
Result<std::optional<StoreId>> read_store_id(Database& database);

}  // namespace qkms::storage
