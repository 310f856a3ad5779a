// See shim_vfs.h.
#include "storage/testing/shim_vfs.h"

namespace qkms::storage {

struct ShimVfs::Calls {
  static File& file_of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
  static ShimVfs& shim_of(sqlite3_vfs* vfs) { return *static_cast<ShimVfs*>(vfs->pAppData); }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* base, int flags, int* flags_out) {
    File& file = file_of(base);
    file.base.pMethods = nullptr;  // so that SQLite does not close what was not opened
    file.vfs = &shim_of(vfs);
    const int code = file.vfs->open(file, path, flags, flags_out);
    if (code != SQLITE_OK) return code;
    file.path = new std::string(path == nullptr ? "" : path);
    file.base.pMethods = &kMethods;
    return SQLITE_OK;
  }

  static int close(sqlite3_file* base) {
    File& file = file_of(base);
    const int code = file.vfs->close(file);
    delete file.path;
    return code;
  }

  static int read(sqlite3_file* file, void* to, int size, sqlite3_int64 offset) {
    return file_of(file).vfs->read(file_of(file), to, size, offset);
  }
  static int write(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
    return file_of(file).vfs->write(file_of(file), from, size, offset);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    return file_of(file).vfs->truncate(file_of(file), size);
  }
  static int sync(sqlite3_file* file, int flags) { return file_of(file).vfs->sync(file_of(file), flags); }
  static int file_size(sqlite3_file* file, sqlite3_int64* size) {
    return file_of(file).vfs->file_size(file_of(file), size);
  }
  static int remove(sqlite3_vfs* vfs, const char* path, int sync_folder) {
    return shim_of(vfs).remove(path, sync_folder);
  }
  static int access(sqlite3_vfs* vfs, const char* path, int flags, int* result) {
    return shim_of(vfs).access(path, flags, result);
  }

  // Handed on as they are.
  static int lock(sqlite3_file* file, int level) {
    sqlite3_file* const real = file_of(file).real();
    return real->pMethods->xLock(real, level);
  }
  static int unlock(sqlite3_file* file, int level) {
    sqlite3_file* const real = file_of(file).real();
    return real->pMethods->xUnlock(real, level);
  }
  static int check_reserved_lock(sqlite3_file* file, int* result) {
    sqlite3_file* const real = file_of(file).real();
    return real->pMethods->xCheckReservedLock(real, result);
  }
  static int file_control(sqlite3_file* file, int operation, void* argument) {
    sqlite3_file* const real = file_of(file).real();
    return real->pMethods->xFileControl(real, operation, argument);
  }
  static int sector_size(sqlite3_file* file) {
    sqlite3_file* const real = file_of(file).real();
    return real->pMethods->xSectorSize(real);
  }
  static int device_characteristics(sqlite3_file* file) {
    sqlite3_file* const real = file_of(file).real();
    return real->pMethods->xDeviceCharacteristics(real);
  }
  static int full_path(sqlite3_vfs* vfs, const char* path, int size, char* out) {
    sqlite3_vfs* const real = shim_of(vfs).real_;
    return real->xFullPathname(real, path, size, out);
  }

  static const sqlite3_io_methods kMethods;
};

const sqlite3_io_methods ShimVfs::Calls::kMethods = {
    .iVersion = 1,
    .xClose = Calls::close,
    .xRead = Calls::read,
    .xWrite = Calls::write,
    .xTruncate = Calls::truncate,
    .xSync = Calls::sync,
    .xFileSize = Calls::file_size,
    .xLock = Calls::lock,
    .xUnlock = Calls::unlock,
    .xCheckReservedLock = Calls::check_reserved_lock,
    .xFileControl = Calls::file_control,
    .xSectorSize = Calls::sector_size,
    .xDeviceCharacteristics = Calls::device_characteristics,
    .xShmMap = nullptr,
    .xShmLock = nullptr,
    .xShmBarrier = nullptr,
    .xShmUnmap = nullptr,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

ShimVfs::ShimVfs() : real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
  vfs_.pNext = nullptr;
  vfs_.zName = "qkms-shim";
  vfs_.pAppData = this;
  vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
  vfs_.xOpen = Calls::open;
  vfs_.xDelete = Calls::remove;
  vfs_.xAccess = Calls::access;
  vfs_.xFullPathname = Calls::full_path;
  sqlite3_vfs_register(&vfs_, 1);
}

ShimVfs::~ShimVfs() {
  sqlite3_vfs_unregister(&vfs_);
  sqlite3_vfs_register(real_, 1);
}

int ShimVfs::open(File& file, const char* path, int flags, int* flags_out) {
  return real_->xOpen(real_, path, file.real(), flags, flags_out);
}
int ShimVfs::close(File& file) { return file.real()->pMethods->xClose(file.real()); }
int ShimVfs::read(File& file, void* to, int size, sqlite3_int64 offset) {
  return file.real()->pMethods->xRead(file.real(), to, size, offset);
}
int ShimVfs::write(File& file, const void* from, int size, sqlite3_int64 offset) {
  return file.real()->pMethods->xWrite(file.real(), from, size, offset);
}
int ShimVfs::truncate(File& file, sqlite3_int64 size) { return file.real()->pMethods->xTruncate(file.real(), size); }
int ShimVfs::sync(File& file, int flags) { return file.real()->pMethods->xSync(file.real(), flags); }
int ShimVfs::file_size(File& file, sqlite3_int64* size) { return file.real()->pMethods->xFileSize(file.real(), size); }
int ShimVfs::remove(const char* path, int sync_folder) { return real_->xDelete(real_, path, sync_folder); }
int ShimVfs::access(const char* path, int flags, int* result) { return real_->xAccess(real_, path, flags, result); }

}  // namespace qkms::storage
