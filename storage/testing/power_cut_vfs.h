// For tests: a disk that forgets what was not synced. The real files stand for what processes see, the kernel's cache
// included; beside them this keeps what the medium has. At a cut the medium gets an arbitrary part of what was not
// synced yet, in pieces of 512 bytes and in any order, drawn by a seed; the rest is gone.
//
// What would surprise: after a sync that failed, what it should have written is clean in the cache: every process goes
// on to read it, and no later sync writes it. That is how Linux's file systems behave (fsync(2), "EIO").
// A file that was made or removed is so for good when its folder is synced; for logs and journals SQLite does that with
// the file's first sync.
//
// Operation: cut_at() or kill_at(), run until dead(), close the store (nothing that it does reaches anything), then
// restart(). Concurrency: as ShimVfs.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "storage/testing/shim_vfs.h"

namespace qkms::storage {

class PowerCutVfs final : public ShimVfs {
 public:
  enum class Syncs { kHonest, kLie };  // what a sync that says yes has done

  explicit PowerCutVfs(std::uint64_t seed, Syncs syncs = Syncs::kHonest) : random_(seed), syncs_(syncs) {}

  // The power goes, or the process ends, just before the N-th change from now: a write, sync, truncation or removal.
  void cut_at(std::uint64_t nth) { plan(nth, End::kPower); }
  void kill_at(std::uint64_t nth) { plan(nth, End::kProcess); }
  // The N-th sync from now fails, and loses some or all of what it should have written; the process may end at once.
  enum class Then { kGoOn, kKill };
  void fail_sync_at(std::uint64_t nth, Then then) {
    failing_sync_ = nth;
    then_ = then;
  }
  void cut_now() { die(End::kPower); }
  void kill_now() { die(End::kProcess); }
  bool dead() const { return dead_; }
  bool sync_failed() const { return sync_failed_; }
  // Changes since the last restart().
  std::uint64_t changes() const { return changes_; }

  // After a cut the files are made what the medium had; after a kill they stay. Every store must be closed.
  void restart();

 private:
  enum class End { kPower, kProcess };
  using Bytes = std::vector<std::uint8_t>;
  // Something that the medium does not have yet: bytes at an offset, or the file's new size.
  struct Change {
    std::uint64_t offset = 0;
    Bytes bytes;
    bool truncates = false;
  };
  struct Medium {
    Bytes content;
    std::vector<Change> unsynced;
  };
  using Folder = std::map<std::string, std::shared_ptr<Medium>>;

  int open(File& file, const char* path, int flags, int* flags_out) override;
  int read(File& file, void* to, int size, sqlite3_int64 offset) override;
  int write(File& file, const void* from, int size, sqlite3_int64 offset) override;
  int truncate(File& file, sqlite3_int64 size) override;
  int sync(File& file, int flags) override;
  int file_size(File& file, sqlite3_int64* size) override;
  int remove(const char* path, int sync_folder) override;

  void plan(std::uint64_t nth, End end);
  void die(End end);
  bool dies_here();
  void sync_folder() { folder_on_medium_ = folder_; }
  void tear(Medium& medium);
  void keep_some(Medium& medium, std::vector<Change>& pieces, int percent);
  static void apply(Medium& medium, const Change& change);

  std::mt19937_64 random_;
  const Syncs syncs_;
  Folder folder_, folder_on_medium_;  // as processes see it, and as the medium has it
  std::uint64_t changes_ = 0, ends_at_ = 0, syncs_seen_ = 0, failing_sync_ = 0;
  End end_ = End::kPower;
  Then then_ = Then::kGoOn;
  bool dead_ = false, sync_failed_ = false;
};

}  // namespace qkms::storage
