// The store of qkmsd, driven with the changes that the engine makes. See contestant.h.
#pragma once

#include "bench/store/contestant.h"
#include "bench/store/samples.h"
#include "storage/sqlite_store.h"

namespace qkms::bench {

class QkmsStore final : public Contestant {
 public:
  // In a folder of its own, new or as a QkmsStore left it. `audit_bytes`: how much of the audit log it keeps.
  QkmsStore(const std::filesystem::path& folder, std::uint64_t audit_bytes);

  Spent put(Records records) override;
  Spent deliver(Records records) override;
  Spent take(std::size_t keys) override;
  Spent ingest(std::size_t blocks) override;
  void close() override { store_.reset(); }
  Spent open() override;
  void use(Rows) override {}
  std::uint64_t size_bytes() const override;
  std::uint64_t log_bytes() const override;
  const std::filesystem::path& file() const override { return file_; }

 private:
  void begin();
  Spent commit(kms::Changes changes, const kms::Needs& needs = {});
  // The engine's rows that change with each batch: how far this life came, and the account with the peer.
  void touch_node(kms::Changes& changes);
  void touch_peer(kms::Changes& changes);
  void add_block_extents(std::uint64_t block, kms::Changes& changes);

  std::filesystem::path file_;
  std::uint64_t audit_bytes_;
  std::unique_ptr<storage::SqliteStore> store_;
  kms::NodeRow node_;
  kms::PeerRow peer_;
  kms::ExtentRow extent_;
  kms::Loaded loaded_;  // by the last commit
  std::uint64_t next_message_ = 1;
  std::uint64_t next_block_ = 1;
};

}  // namespace qkms::bench
