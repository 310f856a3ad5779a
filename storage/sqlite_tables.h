// The rows of the store in SQLite: one class per subject, each with its prepared statements. Rows with key bits, and
// messages for peers, are sealed here on their way in and opened on their way out.
//
// Operation: put, move and drop run inside a transaction that SqliteStore has begun. After a rollback SqliteStore makes
// all tables anew, because Names, BlockTable and SeenBlockTable keep an image of what is stored. Ownership: every table
// refers to the Database, Sealer and Names that it was given; those must outlive it.
#pragma once

#include <optional>
#include <unordered_map>

#include "kms/store.h"
#include "storage/sealer.h"
#include "storage/sqlite_database.h"

namespace qkms::storage {

// Small numbers for KME and link IDs: keys of tables stay short integers. The IDs are those of the configuration, so
// they are few.
class Names {
 public:
  explicit Names(Database& database);
  Result<void> load();

  // The number of an ID, given to it now if it has none.
  Result<std::int64_t> number_of(std::string_view text);
  // Without giving one: for look-ups.
  std::optional<std::int64_t> find(std::string_view text) const;
  // Null when nothing has this number.
  const std::string* text_of(std::int64_t number) const;

 private:
  std::map<std::string, std::int64_t, std::less<>> numbers_;
  std::map<std::int64_t, std::string> texts_;
  Statement select_, insert_;
};

struct TableContext {
  Database& database;
  Sealer& sealer;
  Names& names;
};

class NodeTable {
 public:
  explicit NodeTable(const TableContext& context);
  Result<void> put(const kms::NodeRow& row);
  // kCorrupt when the row does not open: a node without its ID key must not run.
  Result<kms::NodeRow> load();

 private:
  Sealer& sealer_;
  Statement put_, select_;
};

class PeerTable {
 public:
  explicit PeerTable(const TableContext& context);
  Result<void> put(const kms::PeerRow& row);
  Result<void> load(kms::Snapshot& snapshot);

 private:
  Sealer& sealer_;
  Names& names_;
  Statement put_, select_;
};

class ExtentTable {
 public:
  explicit ExtentTable(const TableContext& context);
  Result<void> add(const kms::ExtentRow& row, const SecretBytes& bits);
  Result<void> move(const kms::ExtentRow& row);
  Result<void> drop(const kms::ExtentKey& key);
  Result<void> load(kms::Snapshot& snapshot);
  Result<void> load_bits(const kms::ExtentKey& key, kms::Loaded& loaded);

 private:
  Result<Sealed> seal(const kms::ExtentRow& row);

  Sealer& sealer_;
  Names& names_;
  Statement add_, add_bits_, move_, drop_, drop_bits_, select_, select_bits_;
};

// Few rows at a time: kms::LinkPolicy::max_pending_bytes bounds them. So their place by (link, block) is remembered
// here, and the table needs no index on block IDs, which are random.
class BlockTable {
 public:
  explicit BlockTable(const TableContext& context);
  Result<void> load_index();
  Result<void> add(const kms::BlockRow& row);
  Result<void> drop(const LinkId& link, const BlockId& block);
  // The rows are gone in another way.
  void forget_all() { numbers_.clear(); }
  Result<void> load(kms::Snapshot& snapshot);

 private:
  Sealer& sealer_;
  Names& names_;
  std::map<std::pair<std::int64_t, BlockId>, std::int64_t> numbers_;
  std::int64_t next_number_ = 1;
  Statement add_, drop_, select_, select_index_;
};

// A ring per link: positions count up, and the one that falls out of kSeenBlocksPerLink goes.
class SeenBlockTable {
 public:
  explicit SeenBlockTable(const TableContext& context);
  Result<void> load_positions();
  Result<void> add(const kms::SeenBlock& seen);
  Result<void> load(kms::Snapshot& snapshot);

 private:
  Names& names_;
  std::map<std::int64_t, std::int64_t> next_positions_;
  Statement add_, drop_, select_, select_positions_;
};

class AssignmentTable {
 public:
  explicit AssignmentTable(const TableContext& context);
  Result<void> put(const kms::Assignment& row);
  Result<void> drop(const kms::AssignmentId& id);
  Result<void> load(const kms::AssignmentId& id, kms::Loaded& loaded);
  // Adds those that the expiry look-up finds. `reported` holds the unreadable ones that it has counted already.
  Result<void> load_expired(Millis now, kms::Loaded& loaded, std::set<kms::AssignmentId>& reported);

 private:
  Result<kms::Assignment> read(const kms::AssignmentId& id, const Statement& row);
  Result<void> load_expired_of(const KmeId& issuer, std::int64_t number, Millis now, kms::Loaded& loaded,
                               std::set<kms::AssignmentId>& reported);

  Sealer& sealer_;
  Names& names_;
  Statement put_, drop_, select_, select_oldest_, select_issuers_;
};

class OutboxTable {
 public:
  explicit OutboxTable(const TableContext& context);
  Result<void> add(const kms::OutboxRow& row);
  Result<void> acknowledge(const KmeId& peer, std::uint64_t sequence);
  Result<void> clear(const KmeId& peer);
  Result<void> load(kms::Snapshot& snapshot);

 private:
  Sealer& sealer_;
  Names& names_;
  Statement add_, acknowledge_, clear_, select_;
};

}  // namespace qkms::storage
