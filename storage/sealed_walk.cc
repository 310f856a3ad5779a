// See sealed_walk.h.
#include "storage/sealed_walk.h"

#include <limits>

namespace qkms::storage {
namespace {

constexpr int kFieldsAt = 4;

std::string keys_of(const SealedColumn& column) { return std::string(column.key[0]) + ", " + column.key[1]; }

std::string select_of(const SealedColumn& column) {
  return "SELECT " + keys_of(column) + ", " + column.group + ", " + column.column + ", " + column.fields + " FROM " +
         column.table + " WHERE (" + keys_of(column) + ") > (?, ?) ORDER BY 1, 2 LIMIT ?";
}

std::string where_of(const SealedColumn& column) {
  return std::string(" WHERE ") + column.key[0] + " = ? AND " + column.key[1] + " = ?";
}

}  // namespace

SealedWalk::SealedWalk(Database& database, const Names& names, const SealedColumn& column)
    : names_(names),
      column_(column),
      after_{std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::min()},
      select_(database, select_of(column)),
      replace_(database, std::string("UPDATE ") + column.table + " SET " + column.column + " = ?" + where_of(column)),
      remove_(database, std::string("DELETE FROM ") + column.table + where_of(column)) {}

Result<std::vector<SealedRow>> SealedWalk::next(std::size_t most) {
  std::vector<SealedRow> rows;
  const auto take = [this, &rows](Statement& row) -> Result<bool> {
    SealedRow found{.key = {row.integer(0), row.integer(1)},
                    .group = row.integer(2),
                    .place = {},
                    .blob = Sealed(row.blob(3).begin(), row.blob(3).end())};
    static const std::string no_name;
    const std::string* const name = found.group == kOwnGroup ? &no_name : names_.text_of(found.group);
    if (name != nullptr) found.place = column_.place(*name, row, kFieldsAt);
    after_ = found.key;
    rows.push_back(std::move(found));
    return true;
  };
  if (Result<void> read = select_.for_each(take, after_[0], after_[1], most); !read) {
    return std::unexpected(read.error());
  }
  return rows;
}

Result<void> SealedWalk::replace(const SealedRow& row, const Sealed& blob) {
  return replace_.run(Bytes(blob), row.key[0], row.key[1]);
}

Result<void> SealedWalk::remove(const SealedRow& row) { return remove_.run(row.key[0], row.key[1]); }

}  // namespace qkms::storage
