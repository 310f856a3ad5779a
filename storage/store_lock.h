// One process per store: an exclusive flock on a file beside it, held for the life of this object. The kernel lets go
// of it when the process ends, however it ends. The file itself stays: removing it would let a third process lock a new
// one.
#pragma once

#include "storage/os.h"

namespace qkms::storage {

class StoreLock {
 public:
  // Locks <store>.lock. kClosed, with the holder's process number, when another process has it.
  static Result<StoreLock> acquire(const std::filesystem::path& store);

  // False when the file was removed or replaced meanwhile, for example with the whole folder: then it keeps nobody out.
  bool is_in_place() const;

 private:
  StoreLock(FileDescriptor file, std::filesystem::path path) : file_(std::move(file)), path_(std::move(path)) {}
  FileDescriptor file_;
  std::filesystem::path path_;
};

}  // namespace qkms::storage
