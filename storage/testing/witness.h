// For tests: lives through faults with a store, remembers what it answered, and says whether what is found later is
// what the answers allow: each commit that was durable, none that failed, all or nothing of one that is unknown, and
// nothing of what an opening has read is lost again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "storage/testing/history.h"

namespace qkms::storage {

// Whether the run leaves nothing out: QKMS_FAULTS=all, as ./dev faults sets it.
bool tries_all();

class Witness {
 public:
  // The store in `file` holds `commits` commits of the history, durably.
  explicit Witness(std::filesystem::path file, std::uint64_t commits = 0)
      : file_(std::move(file)), durable_(commits), maybe_(commits) {}

  // Opens the store, goes on with the history for so many commits or until trouble that ends the process, and closes.
  // The store checkpoints often.
  void live(std::uint64_t commits);

  // Opens the store once more, with no faults under it, and compares. Empty: all is well.
  std::string verdict();

  std::uint64_t durable() const { return durable_; }
  // Counted over all lives.
  std::uint64_t failed() const { return failed_; }
  std::uint64_t unknown() const { return unknown_; }

 private:
  bool take_over(SqliteStore& store);
  bool commit_next(SqliteStore& store);
  void expect_latched(SqliteStore& store);
  void complain(std::string text);

  const std::filesystem::path file_;
  std::uint64_t durable_, maybe_;  // `maybe_` may be there, `durable_` must
  std::uint64_t failed_ = 0, unknown_ = 0;
  std::string complaints_;
};

// What PRAGMA integrity_check says. Nobody else may have the file open.
std::string integrity_of(const std::filesystem::path& file);

}  // namespace qkms::storage
