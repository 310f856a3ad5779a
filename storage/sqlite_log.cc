// See sqlite_log.h.
#include "storage/sqlite_log.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace qkms::storage {
namespace {

constexpr sqlite3_int64 kPieceBytes = 1 << 16;

std::unexpected<Error> trouble(const char* doing, int code) {
  return fail(ErrorCode::kIo, std::string("its write-ahead log cannot be ") + doing + ": " + sqlite3_errstr(code) +
                                  " (" + std::to_string(code) + ")");
}

// An open log. SQLite wants names with hidden members behind them, so the name lives as long as the file.
class Log {
 public:
  explicit Log(const std::filesystem::path& file)
      : vfs_(sqlite3_vfs_find(nullptr)),
        name_(sqlite3_create_filename(file.c_str(), "", log_of(file).c_str(), 0, nullptr)),
        memory_(static_cast<std::size_t>(vfs_->szOsFile) / sizeof(std::max_align_t) + 1) {}
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log() {
    if (file()->pMethods != nullptr) file()->pMethods->xClose(file());
    sqlite3_free_filename(name_);
  }

  int exists(int& result) {
    return name_ == nullptr ? SQLITE_NOMEM : vfs_->xAccess(vfs_, path(), SQLITE_ACCESS_EXISTS, &result);
  }
  int open() {
    int flags = 0;
    return vfs_->xOpen(vfs_, path(), file(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, &flags);
  }
  int write_over() {
    sqlite3_int64 size = 0;
    int code = file()->pMethods->xFileSize(file(), &size);
    std::vector<std::uint8_t> piece(kPieceBytes);
    for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size; at += kPieceBytes) {
      const int bytes = static_cast<int>(std::min(kPieceBytes, size - at));
      code = file()->pMethods->xRead(file(), piece.data(), bytes, at);
      if (code == SQLITE_OK) code = file()->pMethods->xWrite(file(), piece.data(), bytes, at);
    }
    return code;
  }
  int sync() { return file()->pMethods->xSync(file(), SQLITE_SYNC_NORMAL); }

 private:
  const char* path() const { return sqlite3_filename_wal(name_); }
  sqlite3_file* file() { return reinterpret_cast<sqlite3_file*>(memory_.data()); }

  sqlite3_vfs* const vfs_;
  const decltype(sqlite3_create_filename("", "", "", 0, nullptr)) name_;  // SQLite changed its type
  std::vector<std::max_align_t> memory_;                                  // zeroes: not open
};

}  // namespace

Result<void> settle_log(const std::filesystem::path& file) {
  if (const int code = sqlite3_initialize(); code != SQLITE_OK) return trouble("looked for", code);
  Log log(file);
  int there = 0;
  if (const int code = log.exists(there); code != SQLITE_OK) return trouble("looked for", code);
  if (there == 0) return {};
  if (const int code = log.open(); code != SQLITE_OK) return trouble("opened", code);
  if (const int code = log.write_over(); code != SQLITE_OK) return trouble("written", code);
  if (const int code = log.sync(); code != SQLITE_OK) return trouble("synced", code);
  return {};
}

}  // namespace qkms::storage
