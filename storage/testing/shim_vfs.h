// For tests: a layer between SQLite and the file system, in C++ instead of callbacks in C. While an object of it lives,
// it is SQLite's default VFS; each call goes through a virtual function, which by itself only hands it on.
//
// What would surprise: the files are of version 1 of SQLite's interface, without shared memory and mapping. The store
// needs neither, since it locks its file exclusively.
//
// Concurrency: one thread. Connections must be closed before the object goes.
#pragma once

#include <sqlite3.h>

#include <string>

namespace qkms::storage {

class ShimVfs {
 public:
  ShimVfs(const ShimVfs&) = delete;
  ShimVfs& operator=(const ShimVfs&) = delete;
  virtual ~ShimVfs();

  // What SQLite holds of an open file.
  struct File {
    sqlite3_file base;  // first: SQLite knows no more of it
    ShimVfs* vfs;
    std::string* path;  // absolute
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };

 protected:
  ShimVfs();

  // Each gives a result code of SQLite.
  virtual int open(File& file, const char* path, int flags, int* flags_out);
  virtual int close(File& file);
  virtual int read(File& file, void* to, int size, sqlite3_int64 offset);
  virtual int write(File& file, const void* from, int size, sqlite3_int64 offset);
  virtual int truncate(File& file, sqlite3_int64 size);
  virtual int sync(File& file, int flags);
  virtual int file_size(File& file, sqlite3_int64* size);
  virtual int remove(const char* path, int sync_folder);
  virtual int access(const char* path, int flags, int* result);

 private:
  struct Calls;  // the callbacks

  sqlite3_vfs* const real_;
  sqlite3_vfs vfs_;
};

}  // namespace qkms::storage
