// Goes over all rows of one table that holds seals, in the order of their keys and a few at a time, so that rows may be
// changed or removed on the way. For verifying, migrating, and sealing old rows anew.
#pragma once

#include <optional>
#include <vector>

#include "storage/sqlite_tables.h"

namespace qkms::storage {

struct SealedRow {
  std::array<std::int64_t, 2> key;
  Group group = kOwnGroup;
  std::optional<AssociatedData> place;  // none: nothing has the group's number as its name
  Sealed blob;
};

class SealedWalk {
 public:
  // All three must outlive the walk.
  SealedWalk(Database& database, const Names& names, const SealedColumn& column);

  // The rows that follow; none at the end.
  Result<std::vector<SealedRow>> next(std::size_t most);
  Result<void> replace(const SealedRow& row, const Sealed& blob);
  Result<void> remove(const SealedRow& row);

 private:
  const Names& names_;
  const SealedColumn& column_;
  std::array<std::int64_t, 2> after_;
  Statement select_, replace_, remove_;
};

}  // namespace qkms::storage
