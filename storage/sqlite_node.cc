// The node's own row. See sqlite_tables.h.
// What would surprise: it is sealed lastingly, so that a store that was restored from an old copy still says whose it
// is.
#include <tuple>

#include "storage/sqlite_tables.h"

namespace qkms::storage {
namespace {

// All columns between `self` and `id_key`, in the order of the table. A new one goes here and into the schema.
auto columns(auto& row) { return std::tie(row.incarnation, row.record_limit, row.time); }

AssociatedData place_of(const kms::NodeRow& row) {
  AssociatedData place("node");
  place.text(row.self.str());
  std::apply([&place](const auto&... values) { (place.number(static_cast<std::uint64_t>(values)), ...); },
             columns(row));
  return place;
}

// The row as it stands in SQL, without its ID key: self and the columns, from column `at` on.
kms::NodeRow read(const Statement& row, int at) {
  kms::NodeRow node;
  node.self = KmeId::parse(row.text(at)).value_or(KmeId());
  std::apply([&row, &at](
                 auto&... values) { ((values = static_cast<std::decay_t<decltype(values)>>(row.integer(++at))), ...); },
             columns(node));
  return node;
}

}  // namespace

const SealedColumn kNodeSeal{
    .table = "node",
    .key = {"one", "0"},
    .group = "0",
    .column = "id_key",
    .fields = "self, incarnation, record_limit, time",
    .place = [](const std::string&, const Statement& row, int at) { return place_of(read(row, at)); }};

NodeTable::NodeTable(const TableContext& context)
    : seals_(context.seals),
      select_header_(context.database, "SELECT " + header_of("id_key") + " FROM node"),
      put_(context.database, "INSERT OR REPLACE INTO node VALUES (1, ?" +
                                 placeholders(std::tuple_size_v<decltype(columns(std::declval<kms::NodeRow&>()))> + 1) +
                                 ")"),
      select_(context.database, "SELECT " + std::string(kNodeSeal.fields) + ", id_key FROM node WHERE one = 1") {}

Result<void> NodeTable::put(const kms::NodeRow& row) {
  if (Result<void> left = select_header_.for_each(seals_.leave(kOwnGroup)); !left) return left;
  const Result<Sealed> id_key = seals_.seal_lastingly(kOwnGroup, place_of(row), row.id_key.reveal());
  if (!id_key) return std::unexpected(id_key.error());
  const std::string_view self = row.self.str();
  return std::apply([&](const auto&... values) { return put_.run(self, values..., std::span(*id_key)); }, columns(row));
}

Result<kms::NodeRow> NodeTable::load() {
  kms::NodeRow node;
  const auto take = [this, &node](Statement& row) -> Result<bool> {
    node = read(row, 0);
    constexpr int kIdKeyAt = 1 + std::tuple_size_v<decltype(columns(node))>;
    Result<SecretBytes> id_key = seals_.open(place_of(node), row.blob(kIdKeyAt));
    if (node.self.empty() || !id_key) return fail(ErrorCode::kCorrupt, "the store's own row (node) is damaged");
    node.id_key = std::move(*id_key);
    return false;
  };
  if (Result<void> loaded = select_.for_each(take); !loaded) return std::unexpected(loaded.error());
  return node;
}

}  // namespace qkms::storage
