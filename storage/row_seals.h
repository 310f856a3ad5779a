// What the tables of the store share: small numbers for names, and sealing that the census follows. In
// sqlite_tables.cc.
//
// Concurrency: one thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "storage/census.h"
#include "storage/sealed_column.h"
#include "storage/sealer.h"
#include "storage/sqlite_database.h"

namespace qkms::storage {

// kCorrupt: somebody else wrote a number of ours that no seal covers.
std::unexpected<Error> not_as_written(const char* table, const char* why);

// Small numbers for KME and link IDs: keys of tables stay short integers. The IDs are those of the configuration, so
// they are few.
class Names {
 public:
  explicit Names(Database& database);
  // kCorrupt: a number out of range, or a text twice, so that one row would be looked for under two numbers.
  Result<void> load();

  // The number of an ID, given to it now if it has none.
  Result<std::int64_t> number_of(std::string_view text);
  // Without giving one: for look-ups.
  std::optional<std::int64_t> find(std::string_view text) const;
  // Null when nothing has this number.
  const std::string* text_of(std::int64_t number) const;

 private:
  std::map<std::string, std::int64_t, std::less<>> numbers_;
  std::map<std::int64_t, std::string> texts_;
  Statement select_, insert_;
};

// Sealing and the census in one: what is sealed for a group is counted in it.
class RowSeals {
 public:
  RowSeals(Sealer& sealer, Census& census) : sealer_(sealer), census_(census) {}

  Result<Sealed> seal(Group group, const AssociatedData& place, Bytes clear);
  Result<Sealed> seal_lastingly(Group group, const AssociatedData& place, Bytes clear);
  Result<SecretBytes> open(const AssociatedData& place, Bytes sealed) { return sealer_.open(place, sealed); }
  // Takes a row out of the census whose seal begins so.
  void leave(Group group, Bytes header) { census_.remove(group, header); }
  // For Statement::for_each: takes out of the census each row whose seal's header (header_of) is in that column.
  auto leave(Group group, int column = 0) {
    return [this, group, column](Statement& row) -> Result<bool> {
      census_.remove(group, row.blob(column));
      return true;
    };
  }
  // Drops rows that `select_headers` and `drop` choose alike. (One statement with RETURNING costs twice as much.)
  template <class... Parameters>
  Result<void> drop(Group group, Statement& select_headers, Statement& drop_rows, const Parameters&... parameters) {
    if (Result<void> left = select_headers.for_each(leave(group), parameters...); !left) return left;
    return drop_rows.run(parameters...);
  }

 private:
  Sealer& sealer_;
  Census& census_;
};

struct TableContext {
  Database& database;
  RowSeals& seals;
  Names& names;
};

}  // namespace qkms::storage
