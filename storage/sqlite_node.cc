// Names, the node's own row and the peers' rows. See sqlite_tables.h.
#include <algorithm>

#include "storage/sqlite_tables.h"

namespace qkms::storage {

Names::Names(Database& database)
    : select_(database, "SELECT number, text FROM name"), insert_(database, "INSERT INTO name VALUES (?, ?)") {}

Result<void> Names::load() {
  return select_.for_each([this](Statement& row) -> Result<bool> {
    numbers_.emplace(row.text(1), row.integer(0));
    texts_.emplace(row.integer(0), row.text(1));
    return true;
  });
}

Result<std::int64_t> Names::number_of(std::string_view text) {
  if (const std::optional<std::int64_t> number = find(text)) return *number;
  const std::int64_t number = texts_.empty() ? 1 : texts_.rbegin()->first + 1;
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

namespace {

AssociatedData place_of_id_key(std::string_view self, std::uint64_t incarnation) {
  AssociatedData place("node.id_key");
  place.text(self).number(incarnation);
  return place;
}

// How far the store says that it has come goes with the key, so that it cannot be changed without being noticed.
AssociatedData place_of_mark_key(std::string_view self, const kms::Told& standing) {
  AssociatedData place("node.mark_key");
  place.text(self).number(standing.ordinal).number(standing.life).number(standing.progress);
  return place;
}

// What a peer was told decides whether a put-back shows. An empty text is sealed with it, or whoever puts an old file
// in place could make it say that the peer was told more.
AssociatedData place_of_told(std::string_view peer, const kms::Told& told) {
  AssociatedData place("peer.told");
  place.text(peer).number(told.ordinal).number(told.life).number(told.progress);
  return place;
}

kms::Ledger ledger_in(const Statement& row, int first) {
  return {.in = row.number(first),
          .macs = row.number(first + 1),
          .quarantined = row.number(first + 2),
          .in_flight = row.number(first + 3),
          .held = row.number(first + 4),
          .delivered = row.number(first + 5),
          .pads = row.number(first + 6),
          .burned = row.number(first + 7),
          .expired = row.number(first + 8)};
}

}  // namespace

NodeTable::NodeTable(const TableContext& context)
    : sealer_(context.sealer),
      put_(context.database, "INSERT OR REPLACE INTO node VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      select_(context.database,
              "SELECT self, incarnation, id_key, record_limit, time, mark_key, ordinal, life, progress, restored "
              "FROM node WHERE one = 1") {}

Result<void> NodeTable::put(const kms::NodeRow& row) {
  const Result<Sealed> id_key = sealer_.seal(place_of_id_key(row.self.str(), row.incarnation), row.id_key.reveal());
  if (!id_key) return std::unexpected(id_key.error());
  const Result<Sealed> mark_key =
      sealer_.seal(place_of_mark_key(row.self.str(), {row.ordinal, row.life, row.progress}), row.mark_key.reveal());
  if (!mark_key) return std::unexpected(mark_key.error());
  return put_.run(std::string_view(row.self.str()), row.incarnation, std::span(*id_key), row.record_limit, row.time,
                  std::span(*mark_key), row.ordinal, row.life, row.progress, std::int64_t{row.restored});
}

Result<kms::NodeRow> NodeTable::load() {
  kms::NodeRow node;
  const auto take = [this, &node](Statement& row) -> Result<bool> {
    const Result<KmeId> self = KmeId::parse(row.text(0));
    Result<SecretBytes> id_key = sealer_.open(place_of_id_key(row.text(0), row.number(1)), row.blob(2));
    Result<SecretBytes> mark_key =
        sealer_.open(place_of_mark_key(row.text(0), {row.number(6), row.number(7), row.number(8)}), row.blob(5));
    if (!self || !id_key || !mark_key) return fail(ErrorCode::kCorrupt, "the store's own row (node) is damaged");
    node = {.self = *self,
            .incarnation = row.number(1),
            .id_key = std::move(*id_key),
            .record_limit = row.number(3),
            .time = row.integer(4),
            .mark_key = std::move(*mark_key),
            .ordinal = row.number(6),
            .life = row.number(7),
            .progress = row.number(8),
            .restored = row.integer(9) != 0};
    return false;
  };
  if (Result<void> loaded = select_.for_each(take); !loaded) return std::unexpected(loaded.error());
  return node;
}

PeerTable::PeerTable(const TableContext& context)
    : sealer_(context.sealer),
      names_(context.names),
      put_(
          context.database,
          "INSERT OR REPLACE INTO peer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
          "?, ?)"),
      select_(
          context.database,
          "SELECT peer, pair_epoch, peer_incarnation, sent, acknowledged, received, peer_id_key, next_extent, "
          "last_record, "
          "bits_in, macs, quarantined, in_flight, held, delivered, pads, burned, expired, "
          "told_ordinal, told_life, told_progress, told_seal, heard_ordinal, heard_life, heard_progress, heard_proof "
          "FROM peer") {}

Result<void> PeerTable::put(const kms::PeerRow& row) {
  const Result<std::int64_t> peer = names_.number_of(row.peer.str());
  if (!peer) return std::unexpected(peer.error());
  const Result<Sealed> seal = sealer_.seal(place_of_told(row.peer.str(), row.told), {});
  if (!seal) return std::unexpected(seal.error());
  const kms::Ledger& ledger = row.ledger;
  return put_.run(*peer, row.pair_epoch, row.peer_incarnation, row.sent, row.acknowledged, row.received,
                  std::span<const std::uint8_t>(row.peer_id_key), row.next_extent, row.last_record, ledger.in,
                  ledger.macs, ledger.quarantined, ledger.in_flight, ledger.held, ledger.delivered, ledger.pads,
                  ledger.burned, ledger.expired, row.told.ordinal, row.told.life, row.told.progress, std::span(*seal),
                  row.heard.ordinal, row.heard.life, row.heard.progress,
                  std::span<const std::uint8_t>(row.heard.proof));
}

Result<void> PeerTable::load(kms::Snapshot& snapshot) {
  const auto take = [this, &snapshot](Statement& row) -> Result<bool> {
    const std::string* const text = names_.text_of(row.integer(0));
    const Result<KmeId> peer = KmeId::parse(text == nullptr ? "" : *text);
    kms::PeerRow result;
    const std::span<const std::uint8_t> id_key = row.blob(6);
    const std::span<const std::uint8_t> proof = row.blob(25);
    if (!peer || id_key.size() != result.peer_id_key.size() || proof.size() != result.heard.proof.size()) {
      ++snapshot.unreadable;
      return true;
    }
    result.peer = *peer;
    result.pair_epoch = row.number(1);
    result.peer_incarnation = row.number(2);
    result.sent = row.number(3);
    result.acknowledged = row.number(4);
    result.received = row.number(5);
    std::ranges::copy(id_key, result.peer_id_key.begin());
    result.next_extent = row.number(7);
    result.last_record = row.number(8);
    result.ledger = ledger_in(row, 9);
    result.told = {row.number(18), row.number(19), row.number(20)};
    result.heard = {row.number(22), row.number(23), row.number(24), {}};
    std::ranges::copy(proof, result.heard.proof.begin());
    if (!sealer_.open(place_of_told(*text, result.told), row.blob(21))) {
      ++snapshot.unreadable;
      result.told = {};  // nothing is known of it: whatever the peer has heard is then a proof, and all is burned
    }
    snapshot.peers.push_back(std::move(result));
    return true;
  };
  if (Result<void> loaded = select_.for_each(take); !loaded) return loaded;
  std::ranges::sort(snapshot.peers, {}, &kms::PeerRow::peer);
  return {};
}

}  // namespace qkms::storage
