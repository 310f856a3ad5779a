// For tests: the N-th call of a kind fails, once or from then on.
//
// Operation: arm() with a plan, run something, ask hit(). disarm() makes it transparent. Concurrency: as ShimVfs.
#pragma once

#include <cstdint>
#include <span>

#include "storage/testing/shim_vfs.h"

namespace qkms::storage {

class FaultVfs final : public ShimVfs {
 public:
  enum class Call { kOpen, kRead, kWrite, kSync, kTruncate, kRemove, kFileSize, kAccess };
  enum class HowLong { kOnce, kFromThenOn };
  // A kind of fault. `name` is for messages.
  struct Kind {
    const char* name;
    Call call;
    int code;                  // what the call answers
    bool writes_half = false;  // a write leaves its first half behind
  };
  struct Plan {
    Kind kind;
    std::uint64_t nth;  // 1: the first call
    HowLong how_long;
  };
  // Every kind there is.
  static std::span<const Kind> kinds();

  void arm(const Plan& plan);
  void disarm() { armed_ = false; }
  // Whether the N-th call came.
  bool hit() const { return calls_ >= plan_.nth; }

 private:
  int open(File& file, const char* path, int flags, int* flags_out) override;
  int read(File& file, void* to, int size, sqlite3_int64 offset) override;
  int write(File& file, const void* from, int size, sqlite3_int64 offset) override;
  int truncate(File& file, sqlite3_int64 size) override;
  int sync(File& file, int flags) override;
  int file_size(File& file, sqlite3_int64* size) override;
  int remove(const char* path, int sync_folder) override;
  int access(const char* path, int flags, int* result) override;

  // Counts the call, and says whether it is to fail.
  bool fails(Call call);

  Plan plan_{};
  bool armed_ = false;
  std::uint64_t calls_ = 0;
};

}  // namespace qkms::storage
