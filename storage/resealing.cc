// See resealing.h.
#include "storage/resealing.h"

namespace qkms::storage {
namespace {

// With extents of 64 KiB, about a millisecond's work.
constexpr std::size_t kRowsPerStep = 32;

}  // namespace

Resealing::Resealing(Database& database, const Names& names, Sealing& sealing)
    : database_(database), names_(names), sealing_(sealing) {}

Result<void> Resealing::step() {
  const auto& epochs = sealing_.census().epochs();
  const EpochId before = sealing_.reseal_before();
  if (epochs.empty() || epochs.begin()->first >= before) return {};
  if (!walk_) walk_.emplace(database_, names_, *kSealedColumns[column_]);
  const Result<std::vector<SealedRow>> rows = walk_->next(kRowsPerStep);
  if (!rows) return std::unexpected(rows.error());
  for (const SealedRow& row : *rows) {
    const EpochId epoch = epoch_of(row.blob);
    if (epoch == 0 || epoch >= before) continue;
    if (Result<void> done = seal_anew(*walk_, row); !done) return done;
  }
  if (rows->size() == kRowsPerStep) return {};
  walk_.reset();
  column_ = (column_ + 1) % kSealedColumns.size();
  return {};
}

Result<void> Resealing::seal_anew(SealedWalk& walk, const SealedRow& row) {
  Result<SecretBytes> clear =
      row.place ? sealing_.sealer().open(*row.place, row.blob) : fail(ErrorCode::kCorrupt, "a row of nobody");
  if (!clear && clear.error().code != ErrorCode::kCorrupt) return std::unexpected(clear.error());
  sealing_.census().remove(row.group, row.blob);
  if (!clear) return walk.remove(row);
  const Result<Sealed> sealed = sealing_.rows().seal(row.group, *row.place, clear->reveal());
  if (!sealed) return std::unexpected(sealed.error());
  return walk.replace(row, *sealed);
}

}  // namespace qkms::storage
