// The least that is needed to talk to SQLite without its pitfalls: a connection that remembers what went wrong last,
// and statements that are prepared once, take their parameters in order, and are always reset.
//
// Concurrency: one thread.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace qkms::storage {

// Whether a stopped SQL text was in the middle of something is for the caller to find out: in_transaction().
class Database {
 public:
  // The file must exist; an empty one is a new database. Triggers and views do nothing.
  static Result<std::unique_ptr<Database>> open(const std::filesystem::path& file);

  Result<void> execute(const char* sql);
  Result<std::int64_t> query_number(const char* sql);

  // Pages in the write-ahead log after the last commit. SQLite's own checkpoints are off, because it keeps their errors
  // to itself: whoever commits has to call checkpoint() now and then.
  std::uint32_t log_pages() const { return log_pages_; }
  // Copies the log's pages to the database file and syncs it, so that the next commit begins the log anew.
  Result<void> checkpoint();
  // From now on, closing the connection neither checkpoints nor removes the log; or does both again, as at first.
  void leave_log() { sqlite3_db_config(connection_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr); }
  void take_log_in() { sqlite3_db_config(connection_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr); }

  bool in_transaction() const { return sqlite3_get_autocommit(connection_.get()) == 0; }
  bool read_only() const { return sqlite3_db_readonly(connection_.get(), "main") != 0; }

  // Turns SQLite's last complaint into an Error and remembers its extended result code.
  std::unexpected<Error> failure(int code);
  // The extended result code of the last failure; SQLITE_OK when there was none since forget_failure().
  int failure_code() const { return failure_code_; }
  void forget_failure() { failure_code_ = SQLITE_OK; }

  sqlite3* get() { return connection_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
  };
  explicit Database(sqlite3* connection) : connection_(connection) {}
  static int note_log_pages(void* self, sqlite3* connection, const char* schema, int pages);

  std::unique_ptr<sqlite3, Close> connection_;
  int failure_code_ = SQLITE_OK;
  std::uint32_t log_pages_ = 0;
};

// Numbers of 64 bits go in and out bit by bit: above 2^63 they are negative in SQL and sort before the others.
class Statement {
 public:
  // Prepared at the first use. `database` must outlive the statement.
  Statement(Database& database, std::string sql) : database_(database), sql_(std::move(sql)) {}

  // Binds the parameters in order and runs a statement that gives no rows.
  template <class... Parameters>
  Result<void> run(const Parameters&... parameters) {
    if (Result<void> bound = bind_all(parameters...); !bound) return bound;
    const Result<bool> row = step();
    reset();
    if (!row) return std::unexpected(row.error());
    return {};
  }

  // Binds the parameters in order and calls `use(Statement&)`, which returns Result<bool>, for each row while it says
  // true. What the columns give is valid during the call only.
  template <class Use, class... Parameters>
  Result<void> for_each(const Use& use, const Parameters&... parameters) {
    if (Result<void> bound = bind_all(parameters...); !bound) return bound;
    Result<bool> more = step();
    while (more && *more) {
      more = use(*this);
      if (more && *more) more = step();
    }
    reset();
    if (!more) return std::unexpected(more.error());
    return {};
  }

  bool is_null(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }
  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  std::uint64_t number(int column) const { return static_cast<std::uint64_t>(integer(column)); }
  std::uint32_t number32(int column) const { return static_cast<std::uint32_t>(integer(column)); }
  std::string_view text(int column) const;
  std::span<const std::uint8_t> blob(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };

  template <class... Parameters>
  Result<void> bind_all(const Parameters&... parameters) {
    if (Result<void> ready = prepare(); !ready) return ready;
    int index = 0;
    int code = SQLITE_OK;
    ((code = code == SQLITE_OK ? bind(++index, parameters) : code), ...);
    if (code != SQLITE_OK) return database_.failure(code);
    return {};
  }

  template <class Integer>
    requires std::is_integral_v<Integer>
  int bind(int index, Integer value) {
    return sqlite3_bind_int64(statement_.get(), index, static_cast<sqlite3_int64>(value));
  }
  int bind(int index, std::string_view value);
  int bind(int index, std::span<const std::uint8_t> value);

  Result<void> prepare();
  Result<bool> step();  // true: there is a row
  void reset();

  Database& database_;
  std::string sql_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

}  // namespace qkms::storage
