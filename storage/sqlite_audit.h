// The audit log in the store: the lines of one commit are one row, and the store's sealed head (head_table.h) says
// where the log begins and ends. So a commit has its records or neither, and whoever can write to the file but has no
// key cannot cut the log short, start it anew, or change a line unseen. docs/audit.md is for its readers.
//
// Operation: append() inside the transaction of the change, then span() goes into the head. After a rollback a new one
// is made from the last span that is durable. Concurrency: as SqliteStore.
#pragma once

#include <string>
#include <vector>

#include "api/audit_record.h"
#include "storage/audit_chain.h"
#include "storage/sqlite_database.h"

namespace qkms::storage {

class AuditTable {
 public:
  // `span` as the head has it.
  AuditTable(Database& database, const AuditSpan& span);

  // kCorrupt: the log does not end where the head says, or its oldest row does not follow what was dropped before. For
  // an opening; verify() reads all of it.
  Result<void> check_ends();

  // Older lines go when the log is larger than this; the head keeps the mark of the last one that went. kCorrupt when
  // they do not follow what went before them.
  void keep_bytes(std::uint64_t bytes) { keep_bytes_ = bytes; }
  Result<void> append(const KmeId& node, const std::vector<api::AuditRecord>& records);

  // The lines from number `first` on, or from the oldest that is still here; at most about `bytes` of them.
  Result<AuditPage> read(std::uint64_t first, std::size_t bytes);
  // Follows all lines from the span's beginning to its end. Returns how many there are.
  Result<std::uint64_t> verify();

  const AuditSpan& span() const { return span_; }

 private:
  Result<void> drop_oldest();

  AuditSpan span_;
  std::uint64_t keep_bytes_ = kDefaultAuditBytes;
  Statement add_, drop_, select_oldest_, select_newest_, select_from_;
};

}  // namespace qkms::storage
