// Names, sealing with the census, and the tables together. See sqlite_tables.h.
#include "storage/sqlite_tables.h"

namespace qkms::storage {
namespace {

constexpr std::int64_t kMaxNames = std::int64_t{1} << 31;

}  // namespace

std::unexpected<Error> not_as_written(const char* table, const char* why) {
  return fail(ErrorCode::kCorrupt, std::string("its table ") + table + " is not as this store writes it: " + why);
}

Names::Names(Database& database)
    : select_(database, "SELECT number, text FROM name"), insert_(database, "INSERT INTO name VALUES (?, ?)") {}

Result<void> Names::load() {
  return select_.for_each([this](Statement& row) -> Result<bool> {
    if (row.integer(0) < 1 || row.integer(0) > kMaxNames) return not_as_written("name", "a number is out of range");
    if (!numbers_.emplace(row.text(1), row.integer(0)).second) return not_as_written("name", "a text is there twice");
    texts_.emplace(row.integer(0), row.text(1));
    return true;
  });
}

Result<std::int64_t> Names::number_of(std::string_view text) {
  if (const std::optional<std::int64_t> number = find(text)) return *number;
  const std::int64_t number = texts_.empty() ? 1 : texts_.rbegin()->first + 1;
  if (number > kMaxNames) return fail(ErrorCode::kInternal, "there is no number left for a name");
  if (Result<void> inserted = insert_.run(number, text); !inserted) return std::unexpected(inserted.error());
  numbers_.emplace(text, number);
  texts_.emplace(number, text);
  return number;
}

std::optional<std::int64_t> Names::find(std::string_view text) const {
  const auto found = numbers_.find(text);
  if (found == numbers_.end()) return std::nullopt;
  return found->second;
}

const std::string* Names::text_of(std::int64_t number) const {
  const auto found = texts_.find(number);
  return found == texts_.end() ? nullptr : &found->second;
}

Result<Sealed> RowSeals::seal(Group group, const AssociatedData& place, Bytes clear) {
  Result<Sealed> sealed = sealer_.seal(place, clear);
  if (sealed) census_.add(group, *sealed);
  return sealed;
}

Result<Sealed> RowSeals::seal_lastingly(Group group, const AssociatedData& place, Bytes clear) {
  Result<Sealed> sealed = sealer_.seal_lastingly(place, clear);
  if (sealed) census_.add(group, *sealed);
  return sealed;
}

Tables::Tables(Database& database, RowSeals& seals)
    : names(database),
      node(TableContext{database, seals, names}),
      peers(TableContext{database, seals, names}),
      extents(TableContext{database, seals, names}),
      blocks(TableContext{database, seals, names}),
      seen_blocks(TableContext{database, seals, names}),
      assignments(TableContext{database, seals, names}),
      outbox(TableContext{database, seals, names}) {}

Result<void> Tables::load() {
  if (Result<void> loaded = names.load(); !loaded) return loaded;
  if (Result<void> loaded = blocks.load_index(); !loaded) return loaded;
  return seen_blocks.load_positions();
}

}  // namespace qkms::storage
