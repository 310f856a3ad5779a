// See power_cut_vfs.h.
#include "storage/testing/power_cut_vfs.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace qkms::storage {
namespace {

constexpr std::size_t kSector = 512;

std::vector<std::uint8_t> bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::string& path, const std::vector<std::uint8_t>& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

void PowerCutVfs::plan(std::uint64_t nth, End end) {
  ends_at_ = changes_ + nth;
  end_ = end;
}

// Counts a change that is about to happen.
bool PowerCutVfs::dies_here() {
  ++changes_;
  if (!dead_ && changes_ == ends_at_) die(end_);
  return dead_;
}

void PowerCutVfs::die(End end) {
  end_ = end;
  dead_ = true;
}

void PowerCutVfs::restart() {
  if (end_ == End::kPower) {
    for (const auto& [path, medium] : folder_) std::filesystem::remove(path);
    // A name that was made or removed since the folder's last sync may be either way.
    Folder found = folder_on_medium_;
    for (const auto& [path, medium] : folder_) {
      if (!found.contains(path) && random_() % 2 == 0) found[path] = medium;
      if (found.contains(path) && found[path] != medium && random_() % 2 == 0) found[path] = medium;
    }
    for (const auto& [path, medium] : folder_on_medium_) {
      if (!folder_.contains(path) && random_() % 2 == 0) found.erase(path);
    }
    for (const auto& [path, medium] : found) {
      tear(*medium);
      write_file(path, medium->content);
    }
    folder_ = folder_on_medium_ = found;
  }
  dead_ = sync_failed_ = false;
  changes_ = ends_at_ = syncs_seen_ = failing_sync_ = 0;
}

void PowerCutVfs::apply(Medium& medium, const Change& change) {
  const std::size_t end = change.offset + change.bytes.size();
  if (change.truncates || medium.content.size() < end) medium.content.resize(end);
  std::ranges::copy(change.bytes, medium.content.begin() + static_cast<std::ptrdiff_t>(change.offset));
}

// How much reaches the medium differs from cut to cut: nothing, about half, nearly all, all.
void PowerCutVfs::tear(Medium& medium) {
  constexpr int kPercent[] = {0, 50, 95, 100};
  const int percent = kPercent[random_() % std::size(kPercent)];
  std::vector<Change> pieces;
  for (const Change& change : medium.unsynced) {
    if (change.truncates) {
      keep_some(medium, pieces, percent);
      if (random_() % 2 == 0) apply(medium, change);
      continue;
    }
    for (std::size_t at = 0; at < change.bytes.size();) {
      const std::size_t size = std::min(kSector - (change.offset + at) % kSector, change.bytes.size() - at);
      const auto begin = change.bytes.begin() + static_cast<std::ptrdiff_t>(at);
      pieces.push_back({change.offset + at, Bytes(begin, begin + static_cast<std::ptrdiff_t>(size)), false});
      at += size;
    }
  }
  keep_some(medium, pieces, percent);
  medium.unsynced.clear();
}

void PowerCutVfs::keep_some(Medium& medium, std::vector<Change>& pieces, int percent) {
  if (percent < 100) std::ranges::shuffle(pieces, random_);
  for (const Change& piece : pieces) {
    if (static_cast<int>(random_() % 100) < percent) apply(medium, piece);
  }
  pieces.clear();
}

int PowerCutVfs::open(File& file, const char* path, int flags, int* flags_out) {
  if (dead_) return SQLITE_CANTOPEN;
  const bool was_there = path != nullptr && std::filesystem::exists(path);
  const int code = ShimVfs::open(file, path, flags, flags_out);
  if (code != SQLITE_OK || path == nullptr || folder_.contains(path)) return code;
  folder_[path] = std::make_shared<Medium>();
  if (was_there) {  // from before this object: on the medium
    folder_[path]->content = bytes_of(path);
    folder_on_medium_[path] = folder_[path];
  }
  return code;
}

int PowerCutVfs::read(File& file, void* to, int size, sqlite3_int64 offset) {
  return dead_ ? SQLITE_IOERR_READ : ShimVfs::read(file, to, size, offset);
}

int PowerCutVfs::write(File& file, const void* from, int size, sqlite3_int64 offset) {
  if (dies_here()) return SQLITE_IOERR_WRITE;
  const auto* const bytes = static_cast<const std::uint8_t*>(from);
  folder_.at(*file.path)->unsynced.push_back({static_cast<std::uint64_t>(offset), Bytes(bytes, bytes + size), false});
  return ShimVfs::write(file, from, size, offset);
}

int PowerCutVfs::truncate(File& file, sqlite3_int64 size) {
  if (dies_here()) return SQLITE_IOERR_TRUNCATE;
  folder_.at(*file.path)->unsynced.push_back({static_cast<std::uint64_t>(size), {}, true});
  return ShimVfs::truncate(file, size);
}

int PowerCutVfs::sync(File& file, int) {
  if (dies_here()) return SQLITE_IOERR_FSYNC;
  Medium& medium = *folder_.at(*file.path);
  if (++syncs_seen_ == failing_sync_) {
    sync_failed_ = true;
    tear(medium);
    if (then_ == Then::kKill) die(End::kProcess);
    return SQLITE_IOERR_FSYNC;
  }
  if (syncs_ == Syncs::kLie) return SQLITE_OK;
  for (const Change& change : medium.unsynced) apply(medium, change);
  medium.unsynced.clear();
  if (!folder_on_medium_.contains(*file.path) || folder_on_medium_[*file.path] != folder_[*file.path]) sync_folder();
  return SQLITE_OK;
}

int PowerCutVfs::file_size(File& file, sqlite3_int64* size) {
  return dead_ ? SQLITE_IOERR_FSTAT : ShimVfs::file_size(file, size);
}

int PowerCutVfs::remove(const char* path, int sync_folder_flag) {
  if (dies_here()) return SQLITE_IOERR_DELETE;
  const int code = ShimVfs::remove(path, 0);
  if (code == SQLITE_OK) folder_.erase(path);
  if (code == SQLITE_OK && sync_folder_flag != 0) sync_folder();
  return code;
}

}  // namespace qkms::storage
