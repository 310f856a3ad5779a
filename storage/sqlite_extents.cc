// Extents and their bits. See sqlite_tables.h.
// What would surprise: there are two tables, so that moving an extent's front, the most frequent change of all, does
// not rewrite bits.
#include <algorithm>
#include <tuple>

#include "storage/sqlite_tables.h"

namespace qkms::storage {
namespace {

// An extent's row hides nothing, but a flipped bit in its front would let used bits be used again: an empty text is
// sealed with all columns.
AssociatedData place_of_row(std::string_view peer, std::uint64_t id, std::uint64_t owner, std::uint64_t size,
                            std::uint64_t front) {
  AssociatedData place("extent");
  place.text(peer).number(id).number(owner).number(size).number(front);
  return place;
}

AssociatedData place_of_row(const kms::ExtentRow& row) {
  return place_of_row(row.peer.str(), row.id, static_cast<std::uint8_t>(row.owner), row.size, row.front);
}

AssociatedData place_of_bits(std::string_view peer, std::uint64_t id) {
  AssociatedData place("extent_bits");
  place.text(peer).number(id);
  return place;
}

}  // namespace

const SealedColumn kExtentSeal{.table = "extent",
                               .key = {"peer", "id"},
                               .group = "peer",
                               .column = "seal",
                               .fields = "id, owner, size, front",
                               .place = [](const std::string& peer, const Statement& row, int at) {
                                 return place_of_row(peer, row.number(at), row.number(at + 1), row.number(at + 2),
                                                     row.number(at + 3));
                               }};

const SealedColumn kExtentBitsSeal{
    .table = "extent_bits",
    .key = {"peer", "id"},
    .group = "peer",
    .column = "bits",
    .fields = "id",
    .place = [](const std::string& peer, const Statement& row, int at) { return place_of_bits(peer, row.number(at)); }};

ExtentTable::ExtentTable(const TableContext& context)
    : seals_(context.seals),
      names_(context.names),
      add_(context.database, "INSERT INTO extent VALUES (?, ?, ?, ?, ?, ?)"),
      add_bits_(context.database, "INSERT INTO extent_bits VALUES (?, ?, ?)"),
      select_header_(context.database, "SELECT " + header_of("seal") + " FROM extent WHERE peer = ? AND id = ?"),
      select_bits_header_(context.database,
                          "SELECT " + header_of("bits") + " FROM extent_bits WHERE peer = ? AND id = ?"),
      move_(context.database, "UPDATE extent SET owner = ?, size = ?, front = ?, seal = ? WHERE peer = ? AND id = ?"),
      drop_(context.database, "DELETE FROM extent WHERE peer = ? AND id = ?"),
      drop_bits_(context.database, "DELETE FROM extent_bits WHERE peer = ? AND id = ?"),
      select_(context.database, "SELECT peer, id, owner, size, front, seal FROM extent ORDER BY peer, id"),
      select_bits_(context.database, "SELECT bits FROM extent_bits WHERE peer = ? AND id = ?") {}

Result<void> ExtentTable::add(const kms::ExtentRow& row, const SecretBytes& bits) {
  const Result<std::int64_t> peer = names_.number_of(row.peer.str());
  if (!peer) return std::unexpected(peer.error());
  const Result<Sealed> row_seal = seal(*peer, row);
  if (!row_seal) return std::unexpected(row_seal.error());
  Result<void> added =
      add_.run(*peer, row.id, static_cast<std::uint8_t>(row.owner), row.size, row.front, std::span(*row_seal));
  if (!added) return added;
  const Result<Sealed> sealed = seals_.seal(*peer, place_of_bits(row.peer.str(), row.id), bits.reveal());
  if (!sealed) return std::unexpected(sealed.error());
  return add_bits_.run(*peer, row.id, std::span(*sealed));
}

Result<bool> ExtentTable::move(const kms::ExtentRow& row) {
  const std::optional<std::int64_t> peer = names_.find(row.peer.str());
  if (!peer) return false;
  bool is_there = false;
  const auto leave = [this, &peer, &is_there](Statement& found) -> Result<bool> {
    is_there = true;
    return seals_.leave(*peer)(found);
  };
  if (Result<void> left = select_header_.for_each(leave, *peer, row.id); !left) return std::unexpected(left.error());
  if (!is_there) return false;
  const Result<Sealed> row_seal = seal(*peer, row);
  if (!row_seal) return std::unexpected(row_seal.error());
  const Result<void> moved =
      move_.run(static_cast<std::uint8_t>(row.owner), row.size, row.front, std::span(*row_seal), *peer, row.id);
  if (!moved) return std::unexpected(moved.error());
  return true;
}

Result<Sealed> ExtentTable::seal(Group peer, const kms::ExtentRow& row) {
  return seals_.seal(peer, place_of_row(row), {});
}

Result<void> ExtentTable::drop(const kms::ExtentKey& key) {
  const std::optional<std::int64_t> peer = names_.find(key.peer.str());
  if (!peer) return {};
  if (Result<void> dropped = seals_.drop(*peer, select_header_, drop_, *peer, key.id); !dropped) return dropped;
  return seals_.drop(*peer, select_bits_header_, drop_bits_, *peer, key.id);
}

Result<void> ExtentTable::load(kms::Snapshot& snapshot) {
  const auto take = [this, &snapshot](Statement& row) -> Result<bool> {
    const std::string* const text = names_.text_of(row.integer(0));
    const Result<KmeId> peer = KmeId::parse(text == nullptr ? "" : *text);
    const kms::ExtentRow extent{.peer = peer.value_or(KmeId()),
                                .id = row.number(1),
                                .owner = row.integer(2) == 0 ? kms::Owner::kSelf : kms::Owner::kPeer,
                                .size = row.number32(3),
                                .front = row.number32(4)};
    const bool fits = peer && row.number(2) <= 1 && row.number(3) == extent.size && row.number(4) <= extent.size;
    const bool sound = fits && seals_.open(place_of_row(extent), row.blob(5)).has_value();
    if (sound) {
      snapshot.extents.push_back(extent);
    } else {
      ++snapshot.unreadable;
    }
    return true;
  };
  if (Result<void> loaded = select_.for_each(take); !loaded) return loaded;
  std::ranges::sort(snapshot.extents, {}, [](const kms::ExtentRow& row) { return std::tie(row.peer, row.id); });
  return {};
}

Result<void> ExtentTable::load_bits(const kms::ExtentKey& key, kms::Loaded& loaded) {
  const std::optional<std::int64_t> peer = names_.find(key.peer.str());
  if (!peer) return {};
  const auto take = [this, &key, &loaded](Statement& row) -> Result<bool> {
    if (Result<SecretBytes> bits = seals_.open(place_of_bits(key.peer.str(), key.id), row.blob(0))) {
      loaded.extent_bits.emplace(key, std::move(*bits));
    } else if (bits.error().code == ErrorCode::kCorrupt) {
      ++loaded.unreadable;
    } else {
      return std::unexpected(bits.error());
    }
    return false;
  };
  return select_bits_.for_each(take, *peer, key.id);
}

}  // namespace qkms::storage
