// See store_census.h.
#include "storage/store_census.h"

#include <set>

#include "storage/sealed_walk.h"

namespace qkms::storage {
namespace {

std::string difference(const Tally& expected, const Tally& found) {
  if (expected.rows != found.rows) {
    return std::to_string(found.rows) + " rows, and there should be " + std::to_string(expected.rows);
  }
  return "among its " + std::to_string(found.rows) + " rows is one that was changed, or put back from an older copy";
}

// By group, so that each is named once.
std::map<Group, Discrepancy> compare_tallies(const Census& census, const Names& names, const Head& head) {
  std::map<Group, Discrepancy> found;
  for (const auto& [group, entry] : head.groups) {
    const auto counted = census.groups().find(group);
    const Tally tally = counted == census.groups().end() ? Tally{} : counted->second;
    const std::string* const name = names.text_of(group);
    if (tally != entry.tally) {
      found.emplace(group, Discrepancy{group, entry.name, difference(entry.tally, tally)});
    } else if (group != kOwnGroup && (name == nullptr || *name != entry.name)) {
      found.emplace(group, Discrepancy{group, entry.name, "the name that its rows refer to was changed"});
    }
  }
  for (const auto& [group, tally] : census.groups()) {
    if (head.groups.contains(group)) continue;
    const std::string* const name = names.text_of(group);
    found.emplace(group, Discrepancy{group, name == nullptr ? "?" : *name, difference({}, tally)});
  }
  return found;
}

}  // namespace

Result<void> count_all_rows(Database& database, Census& census) {
  for (const SealedColumn* column : kSealedColumns) {
    Statement select(
        database, std::string("SELECT ") + column->group + ", " + header_of(column->column) + " FROM " + column->table);
    const auto take = [&census](Statement& row) -> Result<bool> {
      census.add(row.integer(0), row.blob(1));
      return true;
    };
    if (Result<void> counted = select.for_each(take); !counted) return counted;
  }
  return {};
}

Result<std::vector<Discrepancy>> compare(Database& database, Sealer& sealer, const Census& census, const Names& names,
                                         const Head& head) {
  std::map<Group, Discrepancy> found = compare_tallies(census, names, head);
  SealedWalk peers(database, names, kPeerSeal);
  constexpr std::size_t kAtOnce = 64;
  for (;;) {
    const Result<std::vector<SealedRow>> rows = peers.next(kAtOnce);
    if (!rows) return std::unexpected(rows.error());
    if (rows->empty()) break;
    for (const SealedRow& row : *rows) {
      if (row.place && sealer.open(*row.place, row.blob)) continue;
      const std::string* const name = names.text_of(row.group);
      found.emplace(row.group,
                    Discrepancy{row.group, name == nullptr ? "?" : *name, "its peer row does not open", true});
    }
  }
  std::vector<Discrepancy> discrepancies;
  for (auto& [group, discrepancy] : found) discrepancies.push_back(std::move(discrepancy));
  return discrepancies;
}

Result<void> drop_key_material(Database& database, RowSeals& seals) {
  for (const SealedColumn* column : {&kAssignmentSeal, &kExtentBitsSeal, &kExtentSeal, &kBlockSeal}) {
    Statement drop(database, std::string("DELETE FROM ") + column->table + " RETURNING " + column->group + ", " +
                                 header_of(column->column));
    const auto take = [&](Statement& row) { return seals.leave(row.integer(0), 1)(row); };
    if (Result<void> dropped = drop.for_each(take); !dropped) return dropped;
  }
  return {};
}

Result<std::uint64_t> drop_group(Database& database, RowSeals& seals, Group group) {
  std::uint64_t rows = 0;
  for (const SealedColumn* column : kSealedColumns) {
    Statement drop(database, std::string("DELETE FROM ") + column->table + " WHERE " + column->group +
                                 " = ? RETURNING " + header_of(column->column));
    const auto take = [&](Statement& row) -> Result<bool> {
      ++rows;
      return seals.leave(group)(row);
    };
    if (Result<void> dropped = drop.for_each(take, group); !dropped) return std::unexpected(dropped.error());
  }
  return rows;
}

}  // namespace qkms::storage
