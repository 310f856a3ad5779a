// SQLite with as little around it as can be: the yardstick. The same tables, row sizes and row operations as the store
// of qkmsd in the same journal mode, prepared statements, blobs that are copied in and out; nothing is sealed, counted,
// chained or checked. See contestant.h.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>
#include <vector>

#include "bench/store/contestant.h"

namespace qkms::bench {

class BareStore final : public Contestant {
 public:
  // In a folder of its own, new or as a BareStore left it. Keeps about as much of the audit log.
  BareStore(const std::filesystem::path& folder, std::uint64_t audit_bytes);

  Spent put(Records records) override;
  Spent deliver(Records records) override;
  Spent take(std::size_t keys) override;
  Spent ingest(std::size_t blocks) override;
  void close() override;
  // Opens the file and reads every row of `assignment` once.
  Spent open() override;
  void use(Rows rows) override { rows_ = rows; }
  std::uint64_t size_bytes() const override;
  std::uint64_t log_bytes() const override;
  const std::filesystem::path& file() const override { return file_; }

 private:
  struct Close {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
  };
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;
  struct Statements {
    Statement begin, commit, node, peer, extent, put, get, drop, add_message, drop_messages, add_block, drop_block,
        add_seen, add_extent, add_bits, drop_extent, drop_bits, head, audit, drop_audit;
  };

  static int checkpoint(void* self, sqlite3* connection, const char* schema, int pages);
  void execute(const char* sql);
  Statement prepare(const char* sql);
  void prepare_all();
  template <class... Values>
  void run(const Statement& statement, const Values&... values);
  void run(const Statement& statement);
  void get(std::uint64_t record);
  void put_node() { put_progress_of(statements_.node); }
  void put_peer() { put_progress_of(statements_.peer); }
  void put_progress_of(const Statement& statement);
  void move_extent();
  void add_extents(std::uint64_t block);
  void end(std::size_t audit_bytes);
  template <class Work>
  Spent measure(const Work& work);

  std::filesystem::path file_;
  Rows rows_ = Rows::kKeys;
  std::unique_ptr<sqlite3, Close> connection_;
  Statements statements_;
  std::vector<std::uint8_t> copy_;                                       // of what was read last
  const std::vector<std::uint8_t> fetched_ = {0, 0};
  std::vector<std::uint8_t> node_, seal_, key_, message_, bits_, head_;  // blobs of the right size
  std::string lines_;                                                    // an audit log's
  std::size_t line_of_key_ = 0, line_of_block_ = 0;
  std::int64_t progress_ = 0, next_message_ = 1, next_block_ = 1, next_line_ = 1, audit_rows_ = 0;
  std::uint64_t checkpoints_ = 0;
};

}  // namespace qkms::bench
