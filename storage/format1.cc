// See format1.h. A blob of format 1: version 1 (1 byte), data key ID (4, big-endian), nonce (12), ciphertext, tag (16).
#include "storage/format1.h"

#include <fcntl.h>

#include "storage/big_endian.h"
#include "storage/os.h"
#include "storage/sealed_walk.h"
#include "storage/sqlite_schema.h"

namespace qkms::storage {
namespace {

constexpr std::size_t kNonceAt = 5;
constexpr std::size_t kTextAt = kNonceAt + kNonceBytes;
constexpr std::size_t kOverheadBytes = kTextAt + kTagBytes;
constexpr std::size_t kRowsAtOnce = 256;

AssociatedData place_of_proof(std::int64_t id, std::int64_t created) {
  AssociatedData place("data_key");
  place.number(static_cast<std::uint64_t>(id)).number(static_cast<std::uint64_t>(created));
  return place;
}

constexpr const char* kMoveAside = R"sql(
ALTER TABLE name RENAME TO old_name;
ALTER TABLE node RENAME TO old_node;
ALTER TABLE peer RENAME TO old_peer;
ALTER TABLE extent RENAME TO old_extent;
ALTER TABLE extent_bits RENAME TO old_extent_bits;
ALTER TABLE block RENAME TO old_block;
ALTER TABLE seen_block RENAME TO old_seen_block;
ALTER TABLE assignment RENAME TO old_assignment;
ALTER TABLE outbox RENAME TO old_outbox;
)sql";

// These five have the same columns and the same associated data in both formats, so that only their seals are new.
constexpr std::array<const SealedColumn*, 5> kSealedAlike{&kExtentSeal, &kExtentBitsSeal, &kBlockSeal, &kAssignmentSeal,
                                                          &kOutboxSeal};

constexpr const char* kMoveOver = R"sql(
INSERT INTO name SELECT * FROM old_name;
INSERT INTO seen_block SELECT * FROM old_seen_block;
INSERT INTO extent SELECT * FROM old_extent;
INSERT INTO extent_bits SELECT * FROM old_extent_bits;
INSERT INTO block SELECT * FROM old_block;
INSERT INTO assignment SELECT * FROM old_assignment;
INSERT INTO outbox SELECT * FROM old_outbox;
)sql";

constexpr const char* kDropOld = R"sql(
DROP TABLE data_key; DROP TABLE old_name; DROP TABLE old_node; DROP TABLE old_peer; DROP TABLE old_extent;
DROP TABLE old_extent_bits; DROP TABLE old_block; DROP TABLE old_seen_block; DROP TABLE old_assignment;
DROP TABLE old_outbox;
)sql";

Result<void> migrate_node(Database& database, Format1& old, Tables& tables) {
  Statement select(database, "SELECT self, incarnation, id_key, record_limit, time FROM old_node");
  return select.for_each([&](Statement& row) -> Result<bool> {
    AssociatedData place("node.id_key");
    place.text(row.text(0)).number(row.number(1));
    const Result<KmeId> self = KmeId::parse(row.text(0));
    Result<SecretBytes> id_key = old.open(place, row.blob(2));
    if (!self || !id_key) return fail(ErrorCode::kCorrupt, "the store's own row (node) is damaged");
    const Result<void> put = tables.node.put({.self = *self,
                                              .incarnation = row.number(1),
                                              .id_key = std::move(*id_key),
                                              .record_limit = row.number(3),
                                              .time = row.integer(4),
                                              .mark_key = {}});
    if (!put) return std::unexpected(put.error());
    return true;
  });
}

kms::Ledger ledger_of(const Statement& row, int at) {
  return {.in = row.number(at),
          .macs = row.number(at + 1),
          .quarantined = row.number(at + 2),
          .in_flight = row.number(at + 3),
          .held = row.number(at + 4),
          .delivered = row.number(at + 5),
          .pads = row.number(at + 6),
          .burned = row.number(at + 7),
          .expired = row.number(at + 8)};
}

// Returns how many were left behind.
Result<std::uint64_t> migrate_peers(Database& database, Tables& tables) {
  std::uint64_t lost = 0;
  Statement select(database,
                   "SELECT peer, peer_id_key, pair_epoch, peer_incarnation, sent, acknowledged, received, next_extent, "
                   "last_record, bits_in, macs, quarantined, in_flight, held, delivered, pads, burned, expired "
                   "FROM old_peer");
  const Result<void> done = select.for_each([&](Statement& row) -> Result<bool> {
    const std::string* const text = tables.names.text_of(row.integer(0));
    const Result<KmeId> peer = KmeId::parse(text == nullptr ? "" : *text);
    kms::PeerRow moved;
    if (!peer || row.blob(1).size() != moved.peer_id_key.size()) {
      ++lost;
      return true;
    }
    moved.peer = *peer;
    std::ranges::copy(row.blob(1), moved.peer_id_key.begin());
    moved.pair_epoch = row.number(2);
    moved.peer_incarnation = row.number(3);
    moved.sent = row.number(4);
    moved.acknowledged = row.number(5);
    moved.received = row.number(6);
    moved.next_extent = row.number(7);
    moved.last_record = row.number(8);
    moved.ledger = ledger_of(row, 9);
    if (Result<void> put = tables.peers.put(moved); !put) return std::unexpected(put.error());
    return true;
  });
  if (!done) return std::unexpected(done.error());
  return lost;
}

// Returns how many were left behind.
Result<std::uint64_t> seal_anew(Database& database, Format1& old, Sealing& sealing, const Names& names,
                                const SealedColumn& column) {
  std::uint64_t lost = 0;
  SealedWalk walk(database, names, column);
  for (;;) {
    const Result<std::vector<SealedRow>> rows = walk.next(kRowsAtOnce);
    if (!rows) return std::unexpected(rows.error());
    if (rows->empty()) return lost;
    for (const SealedRow& row : *rows) {
      const Result<SecretBytes> clear =
          row.place ? old.open(*row.place, row.blob) : fail(ErrorCode::kCorrupt, "a row of nobody");
      if (!clear) {
        ++lost;
        if (Result<void> removed = walk.remove(row); !removed) return std::unexpected(removed.error());
        continue;
      }
      const Result<Sealed> sealed = sealing.rows().seal(row.group, *row.place, clear->reveal());
      if (!sealed) return std::unexpected(sealed.error());
      if (Result<void> put = walk.replace(row, *sealed); !put) return std::unexpected(put.error());
    }
  }
}

}  // namespace

const char* const kSchemaOfFormat1 = R"sql(
CREATE TABLE data_key (
  id INTEGER PRIMARY KEY, salt BLOB NOT NULL, created INTEGER NOT NULL, proof BLOB NOT NULL) STRICT;
CREATE TABLE name (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE node (
  one INTEGER PRIMARY KEY CHECK (one = 1), self TEXT NOT NULL, incarnation INTEGER NOT NULL, id_key BLOB NOT NULL,
  record_limit INTEGER NOT NULL, time INTEGER NOT NULL) STRICT;
CREATE TABLE peer (
  peer INTEGER PRIMARY KEY, pair_epoch INTEGER NOT NULL, peer_incarnation INTEGER NOT NULL, sent INTEGER NOT NULL,
  acknowledged INTEGER NOT NULL, received INTEGER NOT NULL, peer_id_key BLOB NOT NULL, next_extent INTEGER NOT NULL,
  last_record INTEGER NOT NULL, bits_in INTEGER NOT NULL, macs INTEGER NOT NULL, quarantined INTEGER NOT NULL, in_flight INTEGER NOT NULL,
  held INTEGER NOT NULL, delivered INTEGER NOT NULL, pads INTEGER NOT NULL, burned INTEGER NOT NULL,
  expired INTEGER NOT NULL) STRICT;
CREATE TABLE extent (
  peer INTEGER NOT NULL, id INTEGER NOT NULL, owner INTEGER NOT NULL, size INTEGER NOT NULL, front INTEGER NOT NULL,
  seal BLOB NOT NULL, PRIMARY KEY (peer, id)) STRICT, WITHOUT ROWID;
CREATE TABLE extent_bits (
  peer INTEGER NOT NULL, id INTEGER NOT NULL, bits BLOB NOT NULL, PRIMARY KEY (peer, id)) STRICT, WITHOUT ROWID;
CREATE TABLE block (
  number INTEGER PRIMARY KEY, link INTEGER NOT NULL, block BLOB NOT NULL, received_at INTEGER NOT NULL,
  bits BLOB NOT NULL) STRICT;
CREATE TABLE seen_block (
  link INTEGER NOT NULL, position INTEGER NOT NULL, block BLOB NOT NULL,
  PRIMARY KEY (link, position)) STRICT, WITHOUT ROWID;
CREATE TABLE assignment (
  issuer INTEGER NOT NULL, record INTEGER NOT NULL, master TEXT NOT NULL, slaves TEXT NOT NULL,
  key_count INTEGER NOT NULL, key_bytes INTEGER NOT NULL, expires_at INTEGER NOT NULL, on_ledger INTEGER NOT NULL,
  fetched BLOB NOT NULL, bits BLOB NOT NULL, PRIMARY KEY (issuer, record)) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
  peer INTEGER NOT NULL, sequence INTEGER NOT NULL, message BLOB NOT NULL,
  PRIMARY KEY (peer, sequence)) STRICT, WITHOUT ROWID;
)sql";

Result<Format1> Format1::read_keys(Database& database, const SecretBytes& master_key) {
  Format1 format;
  bool any = false, any_opens = false;
  Statement select(database, "SELECT id, salt, created, proof FROM data_key");
  const auto take = [&](Statement& row) -> Result<bool> {
    any = true;
    const Result<SecretBytes> key = derive_key(master_key, row.blob(1), "qkms store data key 1");
    if (!key) return std::unexpected(key.error());
    Result<Aead> opening = Aead::make(*key, Aead::Direction::kOpen);
    if (!opening) return std::unexpected(opening.error());
    format.keys_.emplace(static_cast<std::uint32_t>(row.integer(0)), std::move(*opening));
    if (format.open(place_of_proof(row.integer(0), row.integer(2)), row.blob(3))) any_opens = true;
    return true;
  };
  if (Result<void> read = select.for_each(take); !read) return std::unexpected(read.error());
  if (any && !any_opens) {
    return fail(ErrorCode::kInvalid, "the master key does not fit: it is not the one that this store was sealed with");
  }
  return format;
}

Result<SecretBytes> Format1::open(const AssociatedData& place, Bytes sealed) {
  if (sealed.size() < kOverheadBytes || sealed[0] != 1) return fail(ErrorCode::kCorrupt, "no sealed row of format 1");
  const auto key = keys_.find(get_big_endian<std::uint32_t>(sealed.subspan(1)));
  if (key == keys_.end()) return fail(ErrorCode::kCorrupt, "a sealed row names a data key that is not there");
  return key->second.open(sealed.subspan(kNonceAt, kNonceBytes), place.view(),
                          sealed.subspan(kTextAt, sealed.size() - kOverheadBytes), sealed.last(kTagBytes));
}

Result<void> keep_copy_of_format1(Database& database, const std::filesystem::path& store) {
  std::filesystem::path copy = store, aside = store;
  copy += ".v1";
  aside += ".v1.new";
  ::unlink(aside.c_str());
  const FileDescriptor file(::open(aside.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.is_open()) return system_failure("cannot create", aside);
  Statement copying(database, "VACUUM INTO ?");
  if (Result<void> copied = copying.run(std::string_view(aside.native())); !copied) return copied;
  if (::fsync(file.get()) != 0) return system_failure("cannot sync", aside);
  if (::rename(aside.c_str(), copy.c_str()) != 0) return system_failure("cannot keep", copy);
  return sync_folder_of(copy);
}

Result<std::uint64_t> migrate_format1(Database& database, Format1& old, Sealing& sealing) {
  if (Result<void> moved = database.execute(kMoveAside); !moved) return std::unexpected(moved.error());
  if (Result<void> created = create_tables(database); !created) return std::unexpected(created.error());
  if (Result<void> moved = database.execute(kMoveOver); !moved) return std::unexpected(moved.error());
  Tables tables(database, sealing.rows());
  if (Result<void> loaded = tables.load(); !loaded) return std::unexpected(loaded.error());
  if (Result<void> node = migrate_node(database, old, tables); !node) return std::unexpected(node.error());
  Result<std::uint64_t> lost = migrate_peers(database, tables);
  if (!lost) return lost;
  std::uint64_t all_lost = *lost;
  for (const SealedColumn* column : kSealedAlike) {
    lost = seal_anew(database, old, sealing, tables.names, *column);
    if (!lost) return lost;
    all_lost += *lost;
  }
  if (Result<void> dropped = database.execute(kDropOld); !dropped) return std::unexpected(dropped.error());
  return all_lost;
}

}  // namespace qkms::storage
