// For tests: the N-th write, sync or renaming that does not go through SQLite's VFS fails, once or from then on: those
// of the keyring, of backups, of files that are replaced whole. The test's program gets its own fsync, rename and write
// for this. Concurrency: arm and disarm while nobody else calls.
#pragma once

#include <cstdint>

namespace qkms::storage {

class OsFaults {
 public:
  enum class HowLong { kOnce, kFromThenOn };

  OsFaults() = default;
  OsFaults(const OsFaults&) = delete;
  OsFaults& operator=(const OsFaults&) = delete;
  ~OsFaults() { disarm(); }

  // The N-th call from now on, N from 1, fails with this errno.
  void arm(std::uint64_t nth, HowLong how_long, int number);
  void disarm();
  bool hit() const;

  // Syncs by this thread since it began, SQLite's too.
  static std::uint64_t syncs_of_this_thread();
};

}  // namespace qkms::storage
