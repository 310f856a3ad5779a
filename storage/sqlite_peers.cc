// The peers' rows. See sqlite_tables.h.
#include <algorithm>
#include <tuple>

#include "storage/sqlite_tables.h"

namespace qkms::storage {
namespace {

// All numbers of a row, in the order of the table's columns. A new one goes here, into kFields and into the schema.
auto numbers(auto& row) {
  auto& l = row.ledger;
  auto& told = row.told;
  auto& heard = row.heard;
  return std::tie(row.pair_epoch, row.peer_incarnation, row.sent, row.acknowledged, row.received, row.next_extent,
                  row.last_record, l.in, l.macs, l.quarantined, l.in_flight, l.held, l.delivered, l.pads, l.burned,
                  l.expired, told.ordinal, told.life, told.progress, heard.ordinal, heard.life, heard.progress);
}
constexpr const char* kFields =
    "peer_id_key, heard_proof, pair_epoch, peer_incarnation, sent, acknowledged, received, next_extent, last_record, "
    "bits_in, macs, quarantined, in_flight, held, delivered, pads, burned, expired, "
    "told_ordinal, told_life, told_progress, heard_ordinal, heard_life, heard_progress";
constexpr std::size_t kNumbers = std::tuple_size_v<decltype(numbers(std::declval<kms::PeerRow&>()))>;

// Nothing in it is secret, but a counter put back would bring back what it counted: an empty text is sealed with all
// columns.
AssociatedData place_of(std::string_view peer, Bytes peer_id_key, Bytes heard_proof, const kms::PeerRow& row) {
  AssociatedData place("peer");
  place.text(peer).bytes(peer_id_key).bytes(heard_proof);
  std::apply([&place](const auto&... values) { (place.number(values), ...); }, numbers(row));
  return place;
}

// The numbers of a row in SQL, from column `at` on.
kms::PeerRow read_numbers(const Statement& row, int at) {
  kms::PeerRow peer;
  std::apply([&row, &at](auto&... values) { ((values = row.number(at++)), ...); }, numbers(peer));
  return peer;
}

}  // namespace

const SealedColumn kPeerSeal{.table = "peer",
                             .key = {"peer", "0"},
                             .group = "peer",
                             .column = "seal",
                             .fields = kFields,
                             .place = [](const std::string& peer, const Statement& row, int at) {
                               return place_of(peer, row.blob(at), row.blob(at + 1), read_numbers(row, at + 2));
                             }};

PeerTable::PeerTable(const TableContext& context)
    : seals_(context.seals),
      names_(context.names),
      select_header_(context.database, "SELECT " + header_of("seal") + " FROM peer WHERE peer = ?"),
      put_(context.database, "INSERT OR REPLACE INTO peer VALUES (?, ?, ?" + placeholders(kNumbers + 1) + ")"),
      select_(context.database, "SELECT peer, seal, " + std::string(kFields) + " FROM peer") {}

Result<void> PeerTable::put(const kms::PeerRow& row) {
  const Result<std::int64_t> peer = names_.number_of(row.peer.str());
  if (!peer) return std::unexpected(peer.error());
  if (Result<void> left = select_header_.for_each(seals_.leave(*peer), *peer); !left) return left;
  const Bytes id_key(row.peer_id_key), proof(row.heard.proof);
  const Result<Sealed> sealed = seals_.seal(*peer, place_of(row.peer.str(), id_key, proof, row), {});
  if (!sealed) return std::unexpected(sealed.error());
  return std::apply(
      [&](const auto&... values) { return put_.run(*peer, id_key, proof, values..., std::span(*sealed)); },
      numbers(row));
}

Result<void> PeerTable::load(kms::Snapshot& snapshot) {
  const auto take = [this, &snapshot](Statement& row) -> Result<bool> {
    const std::string* const text = names_.text_of(row.integer(0));
    const Result<KmeId> peer = KmeId::parse(text == nullptr ? "" : *text);
    const Bytes id_key = row.blob(2);
    const Bytes proof = row.blob(3);
    kms::PeerRow result = read_numbers(row, 4);
    const bool fits = peer && id_key.size() == result.peer_id_key.size() && proof.size() == result.heard.proof.size();
    if (!fits || !seals_.open(place_of(*text, id_key, proof, result), row.blob(1))) {
      ++snapshot.unreadable;
      return true;
    }
    result.peer = *peer;
    std::ranges::copy(id_key, result.peer_id_key.begin());
    std::ranges::copy(proof, result.heard.proof.begin());
    snapshot.peers.push_back(std::move(result));
    return true;
  };
  if (Result<void> loaded = select_.for_each(take); !loaded) return loaded;
  std::ranges::sort(snapshot.peers, {}, &kms::PeerRow::peer);
  return {};
}

}  // namespace qkms::storage
