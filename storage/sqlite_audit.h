// The audit log in the store: the lines of one commit are one row, and a sealed head says where the log begins and
// ends. So a commit has its records or neither, and whoever can write to the file but has no key cannot cut the log
// short, start it anew, or change a line unseen. docs/audit.md is for its readers.
//
// Operation: load() once; append() inside the transaction of the change; after a rollback load() again. Concurrency: as
// SqliteStore.
#pragma once

#include <string>
#include <vector>

#include "api/audit_record.h"
#include "storage/audit_chain.h"
#include "storage/sqlite_tables.h"

namespace qkms::storage {

class AuditTable {
 public:
  explicit AuditTable(const TableContext& context);

  // kCorrupt: the head does not open, or the log does not end where the head says.
  Result<void> load();

  // Older lines go when the log is larger than this; the head keeps the mark of the last one that went.
  void keep_bytes(std::uint64_t bytes) { keep_bytes_ = bytes; }
  Result<void> append(const KmeId& node, const std::vector<api::AuditRecord>& records);

  // The lines from number `first` on, or from the oldest that is still here; at most about `bytes` of them.
  Result<AuditPage> read(std::uint64_t first, std::size_t bytes);
  // Follows all lines from the head's beginning to its end. Returns how many there are.
  Result<std::uint64_t> verify();

  const AuditMark& last() const { return head_.last; }
  std::uint64_t size_bytes() const { return head_.bytes; }

 private:
  struct Head {
    AuditMark before_first;
    AuditMark last;
    std::uint64_t bytes = 0;
  };
  Result<void> begin();
  Result<void> store_head();
  Result<void> drop_oldest();

  Sealer& sealer_;
  Head head_;
  std::uint64_t keep_bytes_;
  Statement add_, drop_, select_oldest_, select_newest_, select_from_, put_head_, select_node_, select_head_;
};

}  // namespace qkms::storage
