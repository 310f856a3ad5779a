// See store_backup.h.
#include "storage/store_backup.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

#include "base/failpoint.h"
#include "storage/os.h"
#include "storage/sqlite_log.h"
#include "storage/sqlite_schema.h"
#include "storage/store_lock.h"

namespace qkms::storage {
namespace {

// About a millisecond's work, so that requests do not wait for a backup.
constexpr int kPagesPerStep = 64;
constexpr std::chrono::milliseconds kPatience{1};

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

// <store>.before-restore, or the first of <store>.before-restore-2, -3 … that nothing has yet; and the one before it.
struct Places {
  std::filesystem::path last, free;
};

Places places_before(const std::filesystem::path& store) {
  Places places{{}, with_suffix(store, ".before-restore")};
  for (int number = 2; is_there(places.free) || is_there(log_of(places.free)); ++number) {
    places.last = std::exchange(places.free, with_suffix(store, (".before-restore-" + std::to_string(number)).c_str()));
  }
  return places;
}

// The old store goes before its log: a log without its store is refused by every start, and so is no store at all, as
// long as the keyring says that there was one. An attempt that died in between has moved the store: the log follows it.
Result<void> move_away(const std::filesystem::path& store) {
  const Places places = places_before(store);
  const bool has_moved = !is_there(store) && is_there(places.last) && !is_there(log_of(places.last));
  if (Result<void> moved = move_if_there(store, places.free); !moved) return moved;
  return move_if_there(log_of(store), log_of(has_moved ? places.last : places.free));
}

Result<void> put_in_place(const std::filesystem::path& aside, const std::filesystem::path& file) {
  if (Result<void> synced = sync_file(aside); !synced) return synced;
  if (at_failpoint(Failpoint::kBackupBeforePlace) != Fault::kNone) return fail(ErrorCode::kIo, "a failpoint");
  if (Result<void> moved = move_if_there(aside, file); !moved) return moved;
  if (at_failpoint(Failpoint::kBackupAfterPlace) != Fault::kNone) return fail(ErrorCode::kIo, "a failpoint");
  return sync_folder_of(file);
}

}  // namespace

// --- backup

StoreBackup::StoreBackup(std::filesystem::path file) : file_(std::move(file)), aside_(with_suffix(file_, ".new")) {}

StoreBackup::~StoreBackup() {
  backup_.reset();
  copy_.reset();
  if (end_.valid()) end_.wait();
  remove_with_logs(aside_);
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
  // All of it is synced at the end, elsewhere.
  if (Result<void> set = backup->copy_->execute("PRAGMA synchronous = OFF"); !set) return std::unexpected(set.error());
  backup->backup_.reset(sqlite3_backup_init(backup->copy_->get(), "main", from.get(), "main"));
  if (!backup->backup_) return backup->copy_->failure(sqlite3_errcode(backup->copy_->get()));
  return backup;
}

Result<bool> StoreBackup::step() {
  if (end_.valid()) return has_ended();
  if (at_failpoint(Failpoint::kBackupStep) != Fault::kNone) return fail(ErrorCode::kIo, "a failpoint");
  const int code = sqlite3_backup_step(backup_.get(), kPagesPerStep);
  if (code == SQLITE_OK || code == SQLITE_BUSY || code == SQLITE_LOCKED) return false;
  if (code != SQLITE_DONE) return copy_->failure(code);
  backup_.reset();
  copy_.reset();
  // A sync takes as long as the copy is large. Without a thread it is done here.
  end_ = std::async(std::launch::async | std::launch::deferred, put_in_place, aside_, file_);
  return has_ended();
}

Result<bool> StoreBackup::has_ended() {
  if (end_.wait_for(kPatience) == std::future_status::timeout) return false;
  if (Result<void> put = end_.get(); !put) return std::unexpected(put.error());
  return true;
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
