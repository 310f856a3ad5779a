// The rows of the store in SQLite: one class per subject, each with its prepared statements. Rows are sealed here on
// their way in and opened on their way out, and the census follows: each row that comes is added to it, each that goes
// or is replaced is read for its seal and taken out.
//
// Operation: put, move and drop run inside a transaction that SqliteStore has begun. After a rollback SqliteStore makes
// all tables anew, because some keep an image of what is stored. Ownership: every table refers to the Database,
// RowSeals and Names that it was given; those must outlive it.
#pragma once

#include <array>
#include <map>
#include <set>
#include <vector>

#include "kms/store.h"
#include "storage/row_seals.h"

namespace qkms::storage {

class NodeTable {
 public:
  explicit NodeTable(const TableContext& context);
  Result<void> put(const kms::NodeRow& row);
  // kCorrupt when the row does not open: a node without its ID key must not run.
  Result<kms::NodeRow> load();

 private:
  RowSeals& seals_;
  Statement select_header_, put_, select_;
};

class PeerTable {
 public:
  explicit PeerTable(const TableContext& context);
  Result<void> put(const kms::PeerRow& row);
  Result<void> load(kms::Snapshot& snapshot);

 private:
  RowSeals& seals_;
  Names& names_;
  Statement select_header_, put_, select_;
};

class ExtentTable {
 public:
  explicit ExtentTable(const TableContext& context);
  Result<void> add(const kms::ExtentRow& row, const SecretBytes& bits);
  // False: it is not there, and nothing was done.
  Result<bool> move(const kms::ExtentRow& row);
  Result<void> drop(const kms::ExtentKey& key);
  Result<void> load(kms::Snapshot& snapshot);
  Result<void> load_bits(const kms::ExtentKey& key, kms::Loaded& loaded);

 private:
  Result<Sealed> seal(Group peer, const kms::ExtentRow& row);

  RowSeals& seals_;
  Names& names_;
  Statement add_, add_bits_, select_header_, select_bits_header_, move_, drop_, drop_bits_, select_, select_bits_;
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
  RowSeals& seals_;
  Names& names_;
  std::map<std::pair<std::int64_t, BlockId>, std::int64_t> numbers_;
  std::int64_t next_number_ = 1;
  Statement add_, select_header_, drop_, select_, select_index_;
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

// Keys are fetched about in the order in which they came, so what one batch asks for or drops is often a run of records
// without a gap: one statement does it. Of what was loaded, the seals' headers are remembered until the next commit is
// over, because most of it goes then, and the census wants to know.
class AssignmentTable {
 public:
  explicit AssignmentTable(const TableContext& context);
  Result<void> put(const kms::Assignment& row);
  Result<void> drop(const std::vector<kms::AssignmentId>& ids);
  Result<void> load(const std::set<kms::AssignmentId>& ids, kms::Loaded& loaded);
  // Adds those that the expiry look-up finds. `reported` holds the unreadable ones that it has counted already.
  Result<void> load_expired(Millis now, kms::Loaded& loaded, std::set<kms::AssignmentId>& reported);

  // What was loaded may have changed.
  void forget_loaded() { loaded_headers_.clear(); }

 private:
  using Header = std::array<std::uint8_t, kSealHeaderBytes>;
  using Place = std::pair<std::int64_t, std::uint64_t>;  // number of the issuer, record
  // Records from `first` to `last`, all of one issuer.
  struct Run {
    const KmeId* issuer = nullptr;
    std::uint64_t first = 0, last = 0;
  };
  static std::vector<Run> runs_of(const auto& ids);
  Result<void> load_run(const Run& run, kms::Loaded& loaded);
  Result<void> leave_run(std::int64_t issuer, const Run& run);
  Result<kms::Assignment> read(std::int64_t number, const kms::AssignmentId& id, const Statement& row);
  Result<void> load_expired_of(const KmeId& issuer, std::int64_t number, Millis now, kms::Loaded& loaded,
                               std::set<kms::AssignmentId>& reported);
  Result<bool> is_beyond_all(std::int64_t issuer, std::int64_t record);

  RowSeals& seals_;
  Names& names_;
  // By issuer: no row has a higher record. Records count up, so most rows that come are known to be new, and nobody has
  // to look for one that they replace.
  std::map<std::int64_t, std::int64_t> highest_;
  std::map<Place, Header> loaded_headers_;
  Statement select_highest_, select_headers_, add_, put_, drop_, select_, select_oldest_, select_issuers_;
};

class OutboxTable {
 public:
  explicit OutboxTable(const TableContext& context);
  Result<void> add(const kms::OutboxRow& row);
  Result<void> acknowledge(const KmeId& peer, std::uint64_t sequence);
  Result<void> clear(const KmeId& peer);
  Result<void> load(kms::Snapshot& snapshot);

 private:
  RowSeals& seals_;
  Names& names_;
  Statement add_, select_acknowledged_, acknowledge_, select_cleared_, clear_, select_;
};

// All of them, over one Names.
struct Tables {
  Tables(Database& database, RowSeals& seals);
  // The images of what is stored.
  Result<void> load();

  Names names;
  NodeTable node;
  PeerTable peers;
  ExtentTable extents;
  BlockTable blocks;
  SeenBlockTable seen_blocks;
  AssignmentTable assignments;
  OutboxTable outbox;
};

}  // namespace qkms::storage
