// Messages that peers have not acknowledged. See sqlite_tables.h.
// They hold no key bits in clear, but they are sealed all the same: a flipped bit in a stored Assign would make two
// KMEs hold different bits under one key ID.
#include <algorithm>
#include <tuple>

#include "api/peer/codec.h"
#include "storage/sqlite_tables.h"

namespace qkms::storage {
namespace {

AssociatedData place_of(std::string_view peer, std::uint64_t sequence) {
  AssociatedData place("outbox");
  place.text(peer).number(sequence);
  return place;
}

std::span<const std::uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

const SealedColumn kOutboxSeal{
    .table = "outbox",
    .key = {"peer", "sequence"},
    .group = "peer",
    .column = "message",
    .fields = "sequence",
    .place = [](const std::string& peer, const Statement& row, int at) { return place_of(peer, row.number(at)); }};

OutboxTable::OutboxTable(const TableContext& context)
    : seals_(context.seals),
      names_(context.names),
      add_(context.database, "INSERT INTO outbox VALUES (?, ?, ?)"),
      select_acknowledged_(context.database,
                           "SELECT " + header_of("message") + " FROM outbox WHERE peer = ? AND sequence <= ?"),
      acknowledge_(context.database, "DELETE FROM outbox WHERE peer = ? AND sequence <= ?"),
      select_cleared_(context.database, "SELECT " + header_of("message") + " FROM outbox WHERE peer = ?"),
      clear_(context.database, "DELETE FROM outbox WHERE peer = ?"),
      select_(context.database, "SELECT peer, sequence, message FROM outbox ORDER BY peer, sequence") {}

Result<void> OutboxTable::add(const kms::OutboxRow& row) {
  const Result<std::int64_t> peer = names_.number_of(row.peer.str());
  if (!peer) return std::unexpected(peer.error());
  const std::string message = api::encode_message(row.message);
  const Result<Sealed> sealed = seals_.seal(*peer, place_of(row.peer.str(), row.sequence), as_bytes(message));
  if (!sealed) return std::unexpected(sealed.error());
  return add_.run(*peer, row.sequence, std::span(*sealed));
}

Result<void> OutboxTable::acknowledge(const KmeId& peer, std::uint64_t sequence) {
  const std::optional<std::int64_t> number = names_.find(peer.str());
  if (!number) return {};
  return seals_.drop(*number, select_acknowledged_, acknowledge_, *number, sequence);
}

Result<void> OutboxTable::clear(const KmeId& peer) {
  const std::optional<std::int64_t> number = names_.find(peer.str());
  if (!number) return {};
  return seals_.drop(*number, select_cleared_, clear_, *number);
}

Result<void> OutboxTable::load(kms::Snapshot& snapshot) {
  const auto take = [this, &snapshot](Statement& row) -> Result<bool> {
    const std::string* const text = names_.text_of(row.integer(0));
    const Result<KmeId> peer = KmeId::parse(text == nullptr ? "" : *text);
    Result<SecretBytes> bytes = seals_.open(place_of(peer ? *text : "", row.number(1)), row.blob(2));
    if (!bytes && bytes.error().code != ErrorCode::kCorrupt) return std::unexpected(bytes.error());
    if (peer && bytes) {
      if (Result<api::Message> message = api::decode_message(bytes->reveal())) {
        snapshot.outbox.push_back({*peer, row.number(1), std::move(*message)});
        return true;
      }
    }
    ++snapshot.unreadable;
    return true;
  };
  if (Result<void> loaded = select_.for_each(take); !loaded) return loaded;
  std::ranges::sort(snapshot.outbox, {}, [](const kms::OutboxRow& row) { return std::tie(row.peer, row.sequence); });
  return {};
}

}  // namespace qkms::storage
