// The census of a whole store file: taken at each opening, compared with what the head says, and what is done about a
// group that differs.
#pragma once

#include <string>
#include <vector>

#include "storage/head_table.h"
#include "storage/sealing.h"

namespace qkms::storage {

struct Discrepancy {
  Group group = kOwnGroup;
  std::string name;  // of the peer or link; empty: the node's own rows
  std::string why;
  bool only_unreadable = false;  // its rows are the right ones, but the peer's does not open
};

// Adds all rows of the file to an empty census. Reads the headers of their seals, and opens nothing.
Result<void> count_all_rows(Database& database, Census& census);

// Groups that are not what the head says, and those whose peer row does not open: without it, nobody knows which of
// the pair's rows are in force.
Result<std::vector<Discrepancy>> compare(Database& database, Sealer& sealer, const Census& census, const Names& names,
                                         const Head& head);

// In a transaction of the caller's: every extent, block and assignment goes, of whatever group, readable or not.
Result<void> drop_key_material(Database& database, RowSeals& seals);
// Likewise all rows of a group. Returns how many there were.
Result<std::uint64_t> drop_group(Database& database, RowSeals& seals, Group group);

}  // namespace qkms::storage
