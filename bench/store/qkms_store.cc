// See qkms_store.h.
#include "bench/store/qkms_store.h"

#include <stdexcept>

#include "kms/life.h"
#include "storage/sqlite_log.h"

namespace qkms::bench {
namespace {

SecretBytes made_up_master_key() {
  SecretBytes key(32);
  key.reveal_mutable()[0] = 1;
  return key;
}

std::uint64_t size_of(const std::filesystem::path& file) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  return error ? 0 : size;
}

}  // namespace

QkmsStore::QkmsStore(const std::filesystem::path& folder, std::uint64_t audit_bytes)
    : file_(folder / "store.db"),
      audit_bytes_(audit_bytes),
      node_(sample_node()),
      peer_(sample_peer()),
      extent_{.peer = peer_kme(), .id = 1, .owner = kms::Owner::kSelf, .size = kExtentBytes, .front = 0} {
  std::filesystem::create_directories(folder);
  const bool is_new = !std::filesystem::exists(file_);
  open();
  if (is_new) begin();
}

// The rows that are there before the first key.
void QkmsStore::begin() {
  kms::Changes changes;
  touch_node(changes);
  touch_peer(changes);
  changes.new_extents.emplace_back(extent_, SecretBytes(kExtentBytes));
  commit(std::move(changes));
}

Spent QkmsStore::open() {
  const Meter meter;
  auto opened = storage::SqliteStore::open(file_, made_up_master_key());
  if (!opened) throw std::runtime_error(opened.error().text);
  store_ = std::move(*opened);
  const auto snapshot = store_->load_all();
  if (!snapshot) throw std::runtime_error(snapshot.error().text);
  const Spent spent = meter.stop();
  if (snapshot->unreadable != 0 || !store_->quarantined().empty()) throw std::runtime_error("rows are unreadable");
  store_->keep_audit_bytes(audit_bytes_);
  return spent;
}

void QkmsStore::touch_node(kms::Changes& changes) {
  ++node_.progress;
  changes.node = kms::copy_of(node_);
}

void QkmsStore::touch_peer(kms::Changes& changes) {
  ++peer_.received;
  peer_.heard.progress++;
  changes.put_peers.push_back(peer_);
}

Spent QkmsStore::commit(kms::Changes changes, const kms::Needs& needs) {
  const std::uint64_t checkpoints = store_->checkpoints();
  loaded_ = {};
  const Meter meter;
  if (!needs.empty()) {
    auto loaded = store_->load(needs);
    if (!loaded) throw std::runtime_error(loaded.error().text);
    loaded_ = std::move(*loaded);
  }
  if (store_->commit(std::move(changes)) != kms::CommitOutcome::kDurable) throw std::runtime_error(store_->trouble());
  Spent spent = meter.stop();
  spent.checkpoints = store_->checkpoints() - checkpoints;
  return spent;
}

Spent QkmsStore::put(Records records) {
  kms::Changes changes;
  touch_peer(changes);
  extent_.front = static_cast<std::uint32_t>((extent_.front + records.size() * kKeyBytes) % kExtentBytes);
  changes.moved_extents.push_back(extent_);
  for (const std::uint64_t record : records) changes.put_assignments.push_back(sample_assignment(record));
  return commit(std::move(changes));
}

Spent QkmsStore::deliver(Records records) {
  kms::Needs needs;
  kms::Changes changes;
  touch_node(changes);
  touch_peer(changes);
  for (const std::uint64_t record : records) {
    const kms::AssignmentId id{peer_kme(), record};
    needs.assignments.insert(id);
    changes.dropped_assignments.push_back(id);
    changes.audit.push_back(sample_delivery(api::AuditAction::kKeysToSlave, record));
  }
  const Spent spent = commit(std::move(changes), needs);
  for (const std::uint64_t record : records) {
    const auto found = loaded_.assignments.find({peer_kme(), record});
    if (found == loaded_.assignments.end() || !is_sample(found->second, record)) {
      throw std::runtime_error("a key is not there, or it is another one");
    }
  }
  return spent;
}

Spent QkmsStore::take(std::size_t keys) {
  kms::Changes changes;
  touch_node(changes);
  touch_peer(changes);
  extent_.front = static_cast<std::uint32_t>((extent_.front + keys * kKeyBytes) % kExtentBytes);
  changes.moved_extents.push_back(extent_);
  if (next_message_ > 1) changes.acknowledged_outbox.emplace_back(peer_kme(), next_message_ - 1);
  for (std::size_t i = 0; i < keys; ++i) {
    changes.audit.push_back(sample_delivery(api::AuditAction::kKeysToMaster, next_message_));
    changes.new_outbox.push_back(sample_message(next_message_++));
  }
  return commit(std::move(changes));
}

// Half of what is left of a block belongs to each end.
void QkmsStore::add_block_extents(std::uint64_t block, kms::Changes& changes) {
  constexpr std::size_t kHalf = (kBlockBytes - kMacBytes) / 2;
  for (const kms::Owner owner : {kms::Owner::kSelf, kms::Owner::kPeer}) {
    const std::uint64_t id = 2 * block + static_cast<std::uint64_t>(owner) + kExtentBytes;
    changes.new_extents.emplace_back(
        kms::ExtentRow{.peer = peer_kme(), .id = id, .owner = owner, .size = kHalf, .front = 0}, SecretBytes(kHalf));
  }
}

Spent QkmsStore::ingest(std::size_t blocks) {
  kms::Changes arrived, agreed, used;
  touch_peer(agreed);
  for (std::size_t i = 0; i < blocks; ++i, ++next_block_) {
    const BlockId id = sample_block(next_block_);
    arrived.new_blocks.push_back({sample_link(), id, 0, SecretBytes(kBlockBytes)});
    agreed.dropped_blocks.emplace_back(sample_link(), id);
    agreed.seen_blocks.push_back({sample_link(), id});
    add_block_extents(next_block_, agreed);
    agreed.audit.push_back(sample_ingest(next_block_));
  }
  for (const auto& [row, bits] : agreed.new_extents) used.dropped_extents.push_back({row.peer, row.id});
  Spent spent = commit(std::move(arrived));
  spent += commit(std::move(agreed));
  commit(std::move(used));
  return spent;
}

std::uint64_t QkmsStore::size_bytes() const { return size_of(file_); }
std::uint64_t QkmsStore::log_bytes() const { return size_of(storage::log_of(file_)); }

}  // namespace qkms::bench
