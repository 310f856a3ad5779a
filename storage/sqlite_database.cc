// See sqlite_database.h.
#include "storage/sqlite_database.h"

#include <cassert>
#include <string>

namespace qkms::storage {
namespace {

ErrorCode error_code_of(int code) {
  switch (code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return ErrorCode::kCorrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::kClosed;
    default:
      return ErrorCode::kIo;
  }
}

}  // namespace

Result<std::unique_ptr<Database>> Database::open(const std::filesystem::path& file) {
  sqlite3* connection = nullptr;
  const int code = sqlite3_open_v2(file.c_str(), &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<Database> database(new Database(connection));
  if (connection == nullptr) return fail(ErrorCode::kIo, "no memory to open " + file.string());
  sqlite3_extended_result_codes(connection, 1);
  // Whoever can write to a file can write a schema into it that does something of its own: nothing of it is run.
  for (const int option : {SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW, SQLITE_DBCONFIG_TRUSTED_SCHEMA})
    sqlite3_db_config(connection, option, 0, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  if (code != SQLITE_OK) return database->failure(code);
  sqlite3_wal_hook(connection, note_log_pages, database.get());
  return database;
}

int Database::note_log_pages(void* self, sqlite3*, const char*, int pages) {
  static_cast<Database*>(self)->log_pages_ = static_cast<std::uint32_t>(pages);
  return SQLITE_OK;
}

Result<void> Database::checkpoint() {
  const int code = sqlite3_wal_checkpoint_v2(connection_.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code != SQLITE_OK) return failure(code);
  return {};
}

std::unexpected<Error> Database::failure(int code) {
  failure_code_ = code;
  return fail(error_code_of(code),
              std::string("SQLite: ") + sqlite3_errmsg(connection_.get()) + " (" + std::to_string(code) + ")");
}

Result<void> Database::execute(const char* sql) {
  const int code = sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return failure(code);
  return {};
}

Result<std::int64_t> Database::query_number(const char* sql) {
  std::int64_t number = 0;
  Statement statement(*this, sql);
  const auto take = [&number](Statement& row) -> Result<bool> {
    number = row.integer(0);
    return false;
  };
  if (Result<void> asked = statement.for_each(take); !asked) return std::unexpected(asked.error());
  return number;
}

std::string_view Statement::text(int column) const {
  const unsigned char* const characters = sqlite3_column_text(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (characters == nullptr) return {};
  return {reinterpret_cast<const char*>(characters), static_cast<std::size_t>(size)};
}

std::span<const std::uint8_t> Statement::blob(int column) const {
  const void* const bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (bytes == nullptr) return {};
  return {static_cast<const std::uint8_t*>(bytes), static_cast<std::size_t>(size)};
}

// SQLITE_STATIC: the caller's bytes stay where they are until the statement is reset. An empty value is an empty text
// or blob, not NULL.
int Statement::bind(int index, std::string_view value) {
  return sqlite3_bind_text64(statement_.get(), index, value.empty() ? "" : value.data(), value.size(), SQLITE_STATIC,
                             SQLITE_UTF8);
}

int Statement::bind(int index, std::span<const std::uint8_t> value) {
  if (value.empty()) return sqlite3_bind_zeroblob(statement_.get(), index, 0);
  return sqlite3_bind_blob64(statement_.get(), index, value.data(), value.size(), SQLITE_STATIC);
}

Result<void> Statement::prepare() {
  if (statement_) return {};
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(database_.get(), sql_.c_str(), static_cast<int>(sql_.size()) + 1,
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return database_.failure(code);
  statement_.reset(statement);
  return {};
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_.failure(code);
}

// Unbinds too, so that no pointer to bytes that are gone stays behind. The result only repeats step()'s.
void Statement::reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

}  // namespace qkms::storage
