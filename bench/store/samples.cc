// See samples.h.
#include "bench/store/samples.h"

#include <algorithm>
#include <cstring>

namespace qkms::bench {
namespace {

constexpr Millis kLater = 1'000'000'000'000;  // nothing expires here

const SaeId& master() {
  static const SaeId id = SaeId::parse("SAE-A-ENC-0001").value();
  return id;
}

const SaeId& slave() {
  static const SaeId id = SaeId::parse("SAE-B-ENC-0001").value();
  return id;
}

std::array<std::uint8_t, 16> wide(std::uint64_t number) {
  std::array<std::uint8_t, 16> bytes{};
  number *= 0x9e3779b97f4a7c15;  // spreads the digits
  std::memcpy(bytes.data(), &number, sizeof number);
  std::memcpy(bytes.data() + sizeof number, &number, sizeof number);
  return bytes;
}

SecretBytes bits_of(std::uint64_t record) {
  SecretBytes bits(kKeyBytes);
  const auto pattern = wide(record);
  std::ranges::copy(pattern, bits.reveal_mutable().begin());
  std::ranges::copy(pattern, bits.reveal_mutable().begin() + 16);
  return bits;
}

}  // namespace

const KmeId& own_kme() {
  static const KmeId id = KmeId::parse("KME-B").value();
  return id;
}

const KmeId& peer_kme() {
  static const KmeId id = KmeId::parse("KME-A").value();
  return id;
}

const LinkId& sample_link() {
  static const LinkId id = LinkId::parse("LINK-A-B-1").value();
  return id;
}

kms::NodeRow sample_node() {
  return {.self = own_kme(),
          .incarnation = 0x123456789abcdef0,
          .id_key = SecretBytes(32),
          .record_limit = 4096,
          .time = 1'000'000,
          .mark_key = SecretBytes(32),
          .ordinal = 1,
          .life = 0xeeddccbbaa998877,
          .progress = 0,
          .restored = false};
}

kms::PeerRow sample_peer() {
  kms::PeerRow row{.peer = peer_kme(),
                   .pair_epoch = 1,
                   .peer_incarnation = 0x0fedcba987654321,
                   .sent = 1'000'000,
                   .acknowledged = 1'000'000,
                   .received = 1'000'000,
                   .peer_id_key = {},
                   .next_extent = 100'000,
                   .last_record = 1'000'000,
                   .ledger = {},
                   .told = {1, 0xeeddccbbaa998877, 1'000'000},
                   .heard = {1, 0xaabbccdd11223344, 1'000'000, {}}};
  row.ledger = {.in = 1ull << 40, .macs = 1 << 30, .held = 1ull << 36, .delivered = 1ull << 38};
  return row;
}

kms::Assignment sample_assignment(std::uint64_t record) {
  return {.issuer = peer_kme(),
          .record = record,
          .master = master(),
          .slaves = {slave()},
          .key_count = 1,
          .key_bytes = kKeyBytes,
          .expires_at = kLater,
          .on_ledger = true,
          .fetched = {0},
          .bits = bits_of(record)};
}

bool is_sample(const kms::Assignment& assignment, std::uint64_t record) {
  return assignment.record == record && assignment.bits.equals(bits_of(record));
}

api::AuditRecord sample_delivery(api::AuditAction action, std::uint64_t record) {
  return {.action = action,
          .actor = slave().str(),
          .subject = master().str(),
          .keys = {KeyId(wide(record))},
          .bits = kKeyBytes * 8};
}

kms::OutboxRow sample_message(std::uint64_t sequence) {
  const auto offset = static_cast<std::uint32_t>(sequence * kKeyBytes % kExtentBytes);
  return {peer_kme(), sequence,
          api::Assign{.record = sequence,
                      .master = master(),
                      .slaves = {slave()},
                      .key_count = 1,
                      .key_bytes = kKeyBytes,
                      .life_ms = 86'400'000,
                      .ranges = {{sequence * kKeyBytes / kExtentBytes, offset, kKeyBytes}},
                      .under_pad = {}}};
}

BlockId sample_block(std::uint64_t number) { return BlockId(wide(number)); }

api::AuditRecord sample_ingest(std::uint64_t number) {
  return {.action = api::AuditAction::kIngest,
          .actor = sample_link().str(),
          .subject = to_string(sample_block(number)),
          .bits = 65536 * 8};
}

}  // namespace qkms::bench
