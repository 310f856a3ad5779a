// See verify_store.h.
#include "storage/verify_store.h"

#include <algorithm>

#include "storage/sealed_walk.h"
#include "storage/sqlite_audit.h"
#include "storage/sqlite_log.h"
#include "storage/sqlite_schema.h"
#include "storage/sqlite_store.h"

namespace qkms::storage {
namespace {

constexpr std::size_t kRowsAtOnce = 256;

Result<void> expect_current_format(Database& database, const std::filesystem::path& store) {
  const Result<std::int64_t> version = prepare_schema(database);
  if (!version) return std::unexpected(version.error());
  if (*version == 0) return fail(ErrorCode::kNotFound, "the store " + store.string() + " is empty");
  if (*version == kSchemaVersion) return {};
  return fail(ErrorCode::kInvalid, "the store " + store.string() + " is of format " + std::to_string(*version) +
                                       ": qkmsd brings it to format " + std::to_string(kSchemaVersion) +
                                       " at its next start");
}

Result<VerifyReport::Table> open_all(Database& database, const Keyring& keyring, const Names& names,
                                     const SealedColumn& column) {
  Sealer sealer(keyring);
  VerifyReport::Table table{.name = column.table, .rows = 0, .unreadable = 0, .destroyed = 0};
  SealedWalk walk(database, names, column);
  for (;;) {
    const Result<std::vector<SealedRow>> rows = walk.next(kRowsAtOnce);
    if (!rows) return std::unexpected(rows.error());
    if (rows->empty()) return table;
    for (const SealedRow& row : *rows) {
      ++table.rows;
      if (row.place && sealer.open(*row.place, row.blob)) continue;
      ++table.unreadable;
      if (epoch_of(row.blob) != 0 && keyring.key_of(epoch_of(row.blob)) == nullptr) ++table.destroyed;
    }
  }
}

Result<VerifyReport> verify(Database& database, const KnownStore& known) {
  Sealer sealer(*known.keyring);
  Result<Census> census = Census::make(known.keyring->census_key());
  if (!census) return std::unexpected(census.error());
  RowSeals seals(sealer, *census);
  Tables tables(database, seals);
  if (Result<void> loaded = tables.load(); !loaded) return std::unexpected(loaded.error());
  if (Result<void> counted = count_all_rows(database, *census); !counted) return std::unexpected(counted.error());
  Result<std::vector<Discrepancy>> found = compare(database, sealer, *census, tables.names, known.head);
  if (!found) return std::unexpected(found.error());
  const Result<std::int64_t> restored = database.query_number("SELECT restored FROM node");
  if (!restored) return std::unexpected(restored.error());
  VerifyReport report{.tables = {},
                      .discrepancies = std::move(*found),
                      .behind_keyring = known.head.epoch < known.keyring->head_epoch(),
                      .marked_as_restored = *restored != 0,
                      .audit_records = AuditTable(database, known.head.audit).verify()};
  for (const SealedColumn* column : kSealedColumns) {
    Result<VerifyReport::Table> table = open_all(database, *known.keyring, tables.names, *column);
    if (!table) return std::unexpected(table.error());
    report.tables.push_back(std::move(*table));
  }
  return report;
}

}  // namespace

bool VerifyReport::sound() const {
  const auto harmless = [this](const Discrepancy& found) { return marked_as_restored && found.only_unreadable; };
  const auto opens = [this](const Table& table) {
    return table.unreadable == (marked_as_restored ? table.destroyed : 0);
  };
  return (!behind_keyring || marked_as_restored) && audit_records && std::ranges::all_of(discrepancies, harmless) &&
         std::ranges::all_of(tables, opens);
}

Result<VerifyReport> verify_store(const std::filesystem::path& store, const std::filesystem::path& keyring,
                                  SecretBytes master_key) {
  std::error_code ignored;
  if (!std::filesystem::exists(store, ignored)) {
    return fail(ErrorCode::kNotFound, "there is no store " + store.string());
  }
  const Result<StoreLock> lock = StoreLock::acquire(store);
  if (!lock) return std::unexpected(lock.error());
  Result<std::unique_ptr<Database>> database = Database::open(store);
  if (!database) return std::unexpected(database.error());
  if (std::filesystem::exists(log_of(store), ignored)) (*database)->leave_log();
  if (Result<void> current = expect_current_format(**database, store); !current) {
    return std::unexpected(current.error());
  }
  const Result<KnownStore> known =
      recognise(**database, keyring.empty() ? keyring_beside(store) : keyring, std::move(master_key));
  if (!known) return std::unexpected(known.error());
  return verify(**database, *known);
}

}  // namespace qkms::storage
