// The N-th write, sync, read, opening, truncation, removal fails, for N = 1, 2, 3 … until a run passes untouched; and
// the N-th allocation. After each, the store on a sound disk holds what its answers promised.
//
// Every N is tried, except that among the thousands of allocations the steps grow: each up to 8, then about an eighth
// further. QKMS_FAULTS=all tries those, too, and lives longer.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <functional>
#include <iostream>

#include "storage/scratch_folder.h"
#include "storage/testing/fault_vfs.h"
#include "storage/testing/memory_faults.h"
#include "storage/testing/witness.h"

namespace qkms::storage {
namespace {

using HowLong = FaultVfs::HowLong;

constexpr std::uint64_t kLeftInTheLog = 4;

// Enough for checkpoints, and for the log to begin anew.
std::uint64_t commits() { return tries_all() ? 25 : 9; }

std::uint64_t after(std::uint64_t nth) { return tries_all() ? nth + 1 : nth + 1 + nth / 8; }

// A process that ends without closing leaves a log to recover.
void leave_a_log(const std::filesystem::path& file) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto store = open_history(file);
    bool fine = store.has_value();
    for (std::uint64_t i = 1; fine && i <= kLeftInTheLog; ++i) {
      fine = (*store)->commit(history_commit(i)) == kms::CommitOutcome::kDurable;
    }
    ::_exit(fine ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

struct Start {
  const char* name;
  bool has_log;
};
void PrintTo(const Start& start, std::ostream* out) { *out << start.name; }

class SqliteIoFaults : public testing::TestWithParam<Start> {
 protected:
  SqliteIoFaults() {
    std::filesystem::create_directory(sample_);
    if (GetParam().has_log) leave_a_log(sample_ / "store");
  }

  // A fresh copy of the start, and one who lives with it.
  Witness fresh() {
    std::filesystem::remove_all(work_);
    std::filesystem::copy(sample_, work_);
    return Witness(work_ / "store", GetParam().has_log ? kLeftInTheLog : 0);
  }

  ScratchFolder folder_{fast_disk()};
  const std::filesystem::path sample_ = folder_.path() / "sample", work_ = folder_.path() / "work";
};

INSTANTIATE_TEST_SUITE_P(, SqliteIoFaults, testing::Values(Start{"NewStore", false}, Start{"AfterACrash", true}),
                         [](const auto& start) { return std::string(start.param.name); });

TEST_P(SqliteIoFaults, KeepsItsWordWhateverCallFails) {
  FaultVfs vfs;
  for (const FaultVfs::Kind& kind : FaultVfs::kinds()) {
    for (const HowLong how_long : {HowLong::kOnce, HowLong::kFromThenOn}) {
      std::uint64_t tried = 0, failed = 0, unknown = 0;
      for (std::uint64_t nth = 1;; ++nth) {
        Witness witness = fresh();
        vfs.arm({kind, nth, how_long});
        witness.live(commits());
        vfs.disarm();
        const std::string verdict = witness.verdict();
        ASSERT_EQ(verdict, "") << kind.name << ", call " << nth << (how_long == HowLong::kOnce ? "" : " and later");
        if (!vfs.hit()) break;
        ++tried;
        failed += witness.failed();
        unknown += witness.unknown();
      }
      std::cout << kind.name << (how_long == HowLong::kOnce ? ", once: " : ", from then on: ") << tried
                << " positions, " << failed << " commits failed, " << unknown << " unknown\n";
    }
  }
}

TEST_P(SqliteIoFaults, KeepsItsWordWhicheverAllocationFails) {
  for (const HowLong how_long : {HowLong::kOnce, HowLong::kFromThenOn}) {
    MemoryFaults memory;
    std::uint64_t tried = 0, failed = 0, unknown = 0;
    for (std::uint64_t nth = 1;; nth = after(nth)) {
      Witness witness = fresh();
      memory.arm(nth, how_long == HowLong::kOnce);
      witness.live(commits());
      memory.disarm();
      const std::string verdict = witness.verdict();
      ASSERT_EQ(verdict, "") << "allocation " << nth << (how_long == HowLong::kOnce ? "" : " and later");
      if (!memory.hit()) break;
      ++tried;
      failed += witness.failed();
      unknown += witness.unknown();
    }
    std::cout << "allocation" << (how_long == HowLong::kOnce ? ", once: " : ", from then on: ") << tried
              << " positions, " << failed << " commits failed, " << unknown << " unknown\n";
  }
}

}  // namespace
}  // namespace qkms::storage
