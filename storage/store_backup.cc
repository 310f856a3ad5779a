// See store_backup.h.
#include "storage/store_backup.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "storage/os.h"
#include "storage/sqlite_log.h"
#include "storage/sqlite_schema.h"
#include "storage/store_lock.h"

namespace qkms::storage {
namespace {

// About a millisecond's work, so that requests do not wait for a backup.
constexpr int kPagesPerStep = 64;

std::filesystem::path with_suffix(const std::filesystem::path& file, const char* suffix) {
  return std::filesystem::path(file).concat(suffix);
}

Result<void> make_empty(const std::filesystem::path& file) {
  const FileDescriptor made(::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  return made.is_open() ? Result<void>{} : system_failure("cannot make", file);
}

Result<void> sync_file(const std::filesystem::path& file) {
  const FileDescriptor descriptor(::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!descriptor.is_open() || ::fsync(descriptor.get()) != 0) return system_failure("cannot sync", file);
  return {};
}

bool is_there(const std::filesystem::path& file) {
  struct stat status{};
  return ::lstat(file.c_str(), &status) == 0;
}

// Makes room for a new database: also of the logs that an attempt which was killed left. SQLite would take them for
// those of the new one.
void remove_with_logs(const std::filesystem::path& file) {
  std::error_code ignored;
  for (const char* suffix : {"", "-wal", "-journal", "-shm"})
    std::filesystem::remove(with_suffix(file, suffix), ignored);
}

// A name that is not there is no error.
Result<void> move_if_there(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) == 0 || errno == ENOENT) return {};
  return system_failure("cannot move", from);
}

Result<void> copy_aside(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(std::filesystem::symlink_status(from, error))) {
    return fail(ErrorCode::kNotFound, "there is no backup " + from.string());
  }
  remove_with_logs(to);
  if (Result<void> made = make_empty(to); !made) return made;
  std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing, error);
  if (error) return fail(ErrorCode::kIo, "cannot copy " + from.string() + ": " + error.message());
  std::filesystem::permissions(to, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write, error);
  return {};
}

Result<void> mark_as_restored(const std::filesystem::path& file) {
  Result<std::unique_ptr<Database>> database = Database::open(file);
  if (!database) return std::unexpected(database.error());
  const Result<std::int64_t> version = prepare_schema(**database);
  if (!version) return std::unexpected(version.error());
  if (*version != kSchemaVersion) {
    return fail(ErrorCode::kInvalid, "it is of format " + std::to_string(*version) + ", this build restores format " +
                                         std::to_string(kSchemaVersion));
  }
  return (*database)->execute("UPDATE node SET restored = 1; PRAGMA wal_checkpoint(TRUNCATE)");
}

}  // namespace

// --- backup

StoreBackup::StoreBackup(std::filesystem::path file) : file_(std::move(file)), aside_(with_suffix(file_, ".new")) {}

StoreBackup::~StoreBackup() {
  backup_.reset();
  copy_.reset();
  std::error_code ignored;
  std::filesystem::remove(aside_, ignored);
}

Result<std::unique_ptr<StoreBackup>> StoreBackup::begin(Database& from, const std::filesystem::path& file) {
  std::unique_ptr<StoreBackup> backup(new StoreBackup(file));
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored)) return fail(ErrorCode::kInvalid, file.string() + " is there already");
  remove_with_logs(backup->aside_);
  if (Result<void> made = make_empty(backup->aside_); !made) return std::unexpected(made.error());
  Result<std::unique_ptr<Database>> copy = Database::open(backup->aside_);
  if (!copy) return std::unexpected(copy.error());
  backup->copy_ = std::move(*copy);
  backup->backup_.reset(sqlite3_backup_init(backup->copy_->get(), "main", from.get(), "main"));
  if (!backup->backup_) return backup->copy_->failure(sqlite3_errcode(backup->copy_->get()));
  return backup;
}

Result<bool> StoreBackup::step() {
  const int code = sqlite3_backup_step(backup_.get(), kPagesPerStep);
  if (code == SQLITE_OK || code == SQLITE_BUSY || code == SQLITE_LOCKED) return false;
  if (code != SQLITE_DONE) return copy_->failure(code);
  if (Result<void> put = put_in_place(); !put) return std::unexpected(put.error());
  return true;
}

Result<void> StoreBackup::put_in_place() {
  backup_.reset();
  copy_.reset();
  if (Result<void> synced = sync_file(aside_); !synced) return synced;
  if (Result<void> moved = move_if_there(aside_, file_); !moved) return moved;
  return sync_folder_of(file_);
}

// --- restore

Result<void> restore_store(const std::filesystem::path& backup, const std::filesystem::path& store) {
  const Result<StoreLock> lock = StoreLock::acquire(store);
  if (!lock) return std::unexpected(lock.error());
  const std::filesystem::path aside = with_suffix(store, ".new");
  if (Result<void> copied = copy_aside(backup, aside); !copied) return copied;
  if (Result<void> marked = mark_as_restored(aside); !marked) {
    remove_with_logs(aside);
    return fail(marked.error().code, "cannot restore " + backup.string() + ": " + marked.error().text);
  }
  if (Result<void> synced = sync_file(aside); !synced) return synced;
  if (Result<void> moved = move_away(store); !moved) return moved;
  if (Result<void> moved = move_if_there(aside, store); !moved) return moved;
  return sync_folder_of(store);
}

}  // namespace qkms::storage
