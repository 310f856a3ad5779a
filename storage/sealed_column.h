// Which columns of the store hold seals: of every row of these tables one. What goes over all sealed rows (the census
// at an opening, verifying, migrating, sealing old rows anew) does so by this list, and knows nothing else of the
// tables.
//
// What would surprise: a seal that is not listed here is not counted, so its epoch's key is destroyed under it.
#pragma once

#include <array>
#include <span>
#include <string>

#include "storage/sealer.h"
#include "storage/sqlite_database.h"

namespace qkms::storage {

struct SealedColumn {
  const char* table;
  std::array<const char*, 2> key;  // the primary key, of integers; "0" when it has one column only
  const char* group;               // the column with the group's number; "0" for the node's own
  const char* column;
  const char* fields;  // the columns that `place` reads, in its order
  // What the seal is bound to. `name` is the group's, `row` has the fields from column `at` on.
  AssociatedData (*place)(const std::string& name, const Statement& row, int at);
};

// One beside each table class.
extern const SealedColumn kNodeSeal, kPeerSeal, kExtentSeal, kExtentBitsSeal, kBlockSeal, kAssignmentSeal, kOutboxSeal;
inline constexpr std::array<const SealedColumn*, 7> kSealedColumns{
    &kNodeSeal, &kPeerSeal, &kExtentSeal, &kExtentBitsSeal, &kBlockSeal, &kAssignmentSeal, &kOutboxSeal};

// ", ?" as often as that.
inline std::string placeholders(std::size_t count) {
  std::string sql;
  while (count-- > 0) sql += ", ?";
  return sql;
}

// SQL for a seal's header, enough for the census.
inline std::string header_of(const std::string& column) {
  return "substr(" + column + ", 1, " + std::to_string(kSealHeaderBytes) + ")";
}

}  // namespace qkms::storage
