// See fault_vfs.h.
#include "storage/testing/fault_vfs.h"

#include <array>

namespace qkms::storage {

std::span<const FaultVfs::Kind> FaultVfs::kinds() {
  static constexpr std::array kAll = {
      Kind{"write: I/O error", Call::kWrite, SQLITE_IOERR_WRITE},
      Kind{"write: I/O error half-way", Call::kWrite, SQLITE_IOERR_WRITE, true},
      Kind{"write: disk full", Call::kWrite, SQLITE_FULL},
      Kind{"write: disk full half-way", Call::kWrite, SQLITE_FULL, true},
      Kind{"sync: I/O error", Call::kSync, SQLITE_IOERR_FSYNC},
      Kind{"sync of the folder: I/O error", Call::kSync, SQLITE_IOERR_DIR_FSYNC},
      Kind{"read: I/O error", Call::kRead, SQLITE_IOERR_READ},
      Kind{"open: no descriptor", Call::kOpen, SQLITE_CANTOPEN},
      Kind{"truncate: I/O error", Call::kTruncate, SQLITE_IOERR_TRUNCATE},
      Kind{"delete: I/O error", Call::kRemove, SQLITE_IOERR_DELETE},
      Kind{"size: I/O error", Call::kFileSize, SQLITE_IOERR_FSTAT},
      Kind{"access: I/O error", Call::kAccess, SQLITE_IOERR_ACCESS},
  };
  return kAll;
}

void FaultVfs::arm(const Plan& plan) {
  plan_ = plan;
  calls_ = 0;
  armed_ = true;
}

bool FaultVfs::fails(Call call) {
  if (!armed_ || call != plan_.kind.call) return false;
  ++calls_;
  return calls_ == plan_.nth || (calls_ > plan_.nth && plan_.how_long == HowLong::kFromThenOn);
}

int FaultVfs::open(File& file, const char* path, int flags, int* flags_out) {
  return fails(Call::kOpen) ? plan_.kind.code : ShimVfs::open(file, path, flags, flags_out);
}

int FaultVfs::read(File& file, void* to, int size, sqlite3_int64 offset) {
  return fails(Call::kRead) ? plan_.kind.code : ShimVfs::read(file, to, size, offset);
}

int FaultVfs::write(File& file, const void* from, int size, sqlite3_int64 offset) {
  if (!fails(Call::kWrite)) return ShimVfs::write(file, from, size, offset);
  if (plan_.kind.writes_half) ShimVfs::write(file, from, size / 2, offset);
  return plan_.kind.code;
}

int FaultVfs::truncate(File& file, sqlite3_int64 size) {
  return fails(Call::kTruncate) ? plan_.kind.code : ShimVfs::truncate(file, size);
}

int FaultVfs::sync(File& file, int flags) { return fails(Call::kSync) ? plan_.kind.code : ShimVfs::sync(file, flags); }

int FaultVfs::file_size(File& file, sqlite3_int64* size) {
  return fails(Call::kFileSize) ? plan_.kind.code : ShimVfs::file_size(file, size);
}

int FaultVfs::remove(const char* path, int sync_folder) {
  return fails(Call::kRemove) ? plan_.kind.code : ShimVfs::remove(path, sync_folder);
}

int FaultVfs::access(const char* path, int flags, int* result) {
  return fails(Call::kAccess) ? plan_.kind.code : ShimVfs::access(path, flags, result);
}

}  // namespace qkms::storage
