// Seals old rows anew, a few with each commit, so that a row that lives long does not keep the key of its epoch alive,
// and with it copies of all the others that were sealed beside it. A row that does not open is dropped on this way: it
// holds nothing any more, and would keep its epoch for ever.
//
// Operation: step() inside a transaction. Made anew after a rollback, it begins from the start.
#pragma once

#include "storage/sealed_walk.h"
#include "storage/sealing.h"

namespace qkms::storage {

class Resealing {
 public:
  // All three must outlive it.
  Resealing(Database& database, const Names& names, Sealing& sealing);
  // Looks at a bounded number of rows, if any row is sealed under an epoch before Sealing::reseal_before().
  Result<void> step();

 private:
  Result<void> seal_anew(SealedWalk& walk, const SealedRow& row);

  Database& database_;
  const Names& names_;
  Sealing& sealing_;
  std::size_t column_ = 0;  // of kSealedColumns
  std::optional<SealedWalk> walk_;
};

}  // namespace qkms::storage
