// The node's own row. See sqlite_tables.h.
// What would surprise: it is sealed lastingly, so that a store that was restored from an old copy still says whose it
// is.
#include <algorithm>
#include <tuple>

#include "storage/sqlite_tables.h"

namespace qkms::storage {
namespace {

// All columns between `self` and `secrets`, in the order of the table. A new one goes here into kFields, and into the
// schema.
auto columns(auto& row) {
  return std::tie(row.incarnation, row.record_limit, row.time, row.ordinal, row.life, row.progress);
}
constexpr const char* kFields = "self, incarnation, record_limit, time, ordinal, life, progress";
constexpr std::size_t kColumns = std::tuple_size_v<decltype(columns(std::declval<kms::NodeRow&>()))>;

// Both in one seal: the ID key, then the mark key, which stores of before marks do not have.
constexpr std::size_t kKeyBytes = 32;

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
    .column = "secrets",
    .fields = kFields,
    .place = [](const std::string&, const Statement& row, int at) { return place_of(read(row, at)); }};

NodeTable::NodeTable(const TableContext& context)
    : seals_(context.seals),
      select_header_(context.database, "SELECT " + header_of("secrets") + " FROM node"),
      put_(context.database, "INSERT OR REPLACE INTO node VALUES (1, ?" + placeholders(kColumns + 2) + ")"),
      select_(context.database, "SELECT " + std::string(kFields) + ", secrets, restored FROM node WHERE one = 1") {}

Result<void> NodeTable::put(const kms::NodeRow& row) {
  if (Result<void> left = select_header_.for_each(seals_.leave(kOwnGroup)); !left) return left;
  SecretBytes secrets(row.id_key.size() + row.mark_key.size());
  const auto rest = std::ranges::copy(row.id_key.reveal(), secrets.reveal_mutable().begin()).out;
  std::ranges::copy(row.mark_key.reveal(), rest);
  const Result<Sealed> sealed = seals_.seal_lastingly(kOwnGroup, place_of(row), secrets.reveal());
  if (!sealed) return std::unexpected(sealed.error());
  const std::string_view self = row.self.str();
  const std::int64_t restored = row.restored ? 1 : 0;
  return std::apply([&](const auto&... values) { return put_.run(self, values..., std::span(*sealed), restored); },
                    columns(row));
}

Result<kms::NodeRow> NodeTable::load() {
  kms::NodeRow node;
  const auto take = [this, &node](Statement& row) -> Result<bool> {
    node = read(row, 0);
    constexpr int kSecretsAt = 1 + static_cast<int>(kColumns);
    const Result<SecretBytes> secrets = seals_.open(place_of(node), row.blob(kSecretsAt));
    const bool fits = secrets && (secrets->size() == kKeyBytes || secrets->size() == 2 * kKeyBytes);
    if (node.self.empty() || !fits) return fail(ErrorCode::kCorrupt, "the store's own row (node) is damaged");
    node.id_key = secrets->slice(0, kKeyBytes);
    node.mark_key = secrets->slice(kKeyBytes, secrets->size() - kKeyBytes);
    node.restored = row.integer(kSecretsAt + 1) != 0;
    return false;
  };
  if (Result<void> loaded = select_.for_each(take); !loaded) return std::unexpected(loaded.error());
  return node;
}

}  // namespace qkms::storage
