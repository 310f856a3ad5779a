// See store_samples.h.
#include "storage/store_samples.h"

#include <sstream>

#include "api/peer/codec.h"
#include "base/text.h"

namespace qkms::storage {
namespace {

std::string hex(const SecretBytes& made_up_bits) { return to_hex(made_up_bits.reveal()); }

void describe_ledger(std::ostream& out, const kms::Ledger& ledger) {
  for (const std::uint64_t value : {ledger.in, ledger.macs, ledger.quarantined, ledger.in_flight, ledger.held,
                                    ledger.delivered, ledger.pads, ledger.burned, ledger.expired}) {
    out << ' ' << value;
  }
}

void describe_assignment(std::ostream& out, const kms::Assignment& row) {
  out << "assignment " << row.issuer.str() << ' ' << row.record << ' ' << row.master.str() << " to";
  for (const SaeId& slave : row.slaves) out << ' ' << slave.str();
  out << ' ' << row.key_count << 'x' << row.key_bytes << " expires " << row.expires_at << " ledger " << row.on_ledger
      << " fetched";
  for (const std::uint16_t fetched : row.fetched) out << ' ' << fetched;
  out << " bits " << hex(row.bits) << '\n';
}

}  // namespace

KmeId kme(std::string_view text) { return KmeId::parse(text).value(); }
SaeId sae(std::string_view text) { return SaeId::parse(text).value(); }
LinkId link(std::string_view text) { return LinkId::parse(text).value(); }

BlockId block(std::uint32_t number) {
  BlockId::Bytes bytes{};
  for (int i = 0; i < 4; ++i) bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(number >> 8 * i);
  return BlockId(bytes);
}

SecretBytes bits(std::size_t size, std::uint8_t first) {
  SecretBytes result(size);
  for (std::size_t i = 0; i < size; ++i) result.reveal_mutable()[i] = static_cast<std::uint8_t>(first + i);
  return result;
}

kms::NodeRow sample_node() {
  return {.self = kme("KME-A"),
          .incarnation = 0xfedcba9876543210,
          .id_key = bits(32, 9),
          .record_limit = 4096,
          .time = 123456,
          .mark_key = bits(32, 77),
          .ordinal = 6,
          .life = 0xeeddccbbaa998877,
          .progress = 12,
          .restored = true};
}

kms::PeerRow sample_peer(std::string_view peer, std::uint64_t first) {
  kms::PeerRow row;
  row.peer = kme(peer);
  row.pair_epoch = first;
  row.peer_incarnation = ~first;
  row.sent = first + 2;
  row.acknowledged = first + 3;
  row.received = first + 4;
  row.next_extent = first + 5;
  row.last_record = first + 16;
  row.peer_id_key.fill(static_cast<std::uint8_t>(first));
  row.ledger = {.in = first + 6,
                .macs = first + 7,
                .quarantined = first + 8,
                .in_flight = first + 9,
                .held = first + 10,
                .delivered = first + 11,
                .pads = first + 12,
                .burned = first + 13,
                .expired = first + 14};
  row.told = {first + 17, ~first - 1, first + 18};
  row.heard = {first + 19, ~first - 2, first + 20, {}};
  row.heard.proof.fill(static_cast<std::uint8_t>(first + 21));
  return row;
}

kms::ExtentRow sample_extent(std::string_view peer, std::uint64_t id, std::uint32_t front) {
  return {.peer = kme(peer), .id = id, .owner = kms::Owner::kSelf, .size = 64, .front = front};
}

kms::BlockRow sample_block(std::string_view link_id, std::uint32_t number) {
  return {.link = link(link_id),
          .block = block(number),
          .received_at = number,
          .bits = bits(96, static_cast<std::uint8_t>(number))};
}

kms::Assignment sample_assignment(std::string_view issuer, std::uint64_t record, Millis expires_at) {
  return {.issuer = kme(issuer),
          .record = record,
          .master = sae("master"),
          .slaves = {sae("CN=slave, O=1"), sae("slave 2")},
          .key_count = 2,
          .key_bytes = 16,
          .expires_at = expires_at,
          .on_ledger = true,
          .fetched = {0x8001, 2},
          .bits = bits(32, static_cast<std::uint8_t>(record))};
}

std::string describe(const kms::Snapshot& snapshot) {
  std::ostringstream out;
  const kms::NodeRow& node = snapshot.node;
  out << "node '" << node.self.str() << "' " << node.incarnation << ' ' << hex(node.id_key) << ' ' << node.record_limit
      << ' ' << node.time << ' ' << hex(node.mark_key) << ' ' << node.ordinal << ' ' << node.life << ' '
      << node.progress << (node.restored ? " restored" : "") << '\n';
  for (const kms::PeerRow& row : snapshot.peers) {
    out << "peer " << row.peer.str() << ' ' << row.pair_epoch << ' ' << row.peer_incarnation << ' ' << row.sent << ' '
        << row.acknowledged << ' ' << row.received << ' ' << to_hex(row.peer_id_key) << ' ' << row.next_extent << ' '
        << row.last_record;
    describe_ledger(out, row.ledger);
    out << " told " << row.told.ordinal << ' ' << row.told.life << ' ' << row.told.progress << " heard "
        << row.heard.ordinal << ' ' << row.heard.life << ' ' << row.heard.progress << ' ' << to_hex(row.heard.proof);
    out << '\n';
  }
  for (const kms::ExtentRow& row : snapshot.extents) {
    out << "extent " << row.peer.str() << ' ' << row.id << (row.owner == kms::Owner::kSelf ? " ours " : " theirs ")
        << row.front << '/' << row.size << '\n';
  }
  for (const kms::BlockRow& row : snapshot.blocks) {
    out << "block " << row.link.str() << ' ' << to_string(row.block) << ' ' << row.received_at << ' ' << hex(row.bits)
        << '\n';
  }
  for (const kms::OutboxRow& row : snapshot.outbox) {
    const std::string message = api::encode_message(row.message);
    out << "outbox " << row.peer.str() << ' ' << row.sequence << ' '
        << to_hex({reinterpret_cast<const std::uint8_t*>(message.data()), message.size()}) << '\n';
  }
  for (const kms::SeenBlock& seen : snapshot.seen_blocks) {
    out << "seen " << seen.link.str() << ' ' << to_string(seen.block) << '\n';
  }
  out << "unreadable " << snapshot.unreadable << '\n';
  return out.str();
}

std::string describe(const kms::Loaded& loaded) {
  std::ostringstream out;
  for (const auto& [key, found] : loaded.extent_bits) {
    out << "bits " << key.peer.str() << ' ' << key.id << ' ' << hex(found) << '\n';
  }
  for (const auto& [id, row] : loaded.assignments) {
    out << id.issuer.str() << ' ' << id.record << ": ";
    describe_assignment(out, row);
  }
  for (const kms::AssignmentId& id : loaded.expired) out << "expired " << id.issuer.str() << ' ' << id.record << '\n';
  out << "unreadable " << loaded.unreadable << '\n';
  return out.str();
}

}  // namespace qkms::storage
