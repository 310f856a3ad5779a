// The power goes at the N-th change of a file, and the disk keeps an arbitrary part of what was not synced: what the
// store called durable is there all the same. So it is when a sync has failed before, and the cache says what the disk
// has not. Planted mistakes show that the test would notice.
//
// Every N is tried, except after a sync that failed: there the steps grow. QKMS_FAULTS=all tries every N with more
// seeds, and after a failed sync every second one. QKMS_SEED=n begins at that seed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>

#include "storage/scratch_folder.h"
#include "storage/testing/power_cut_vfs.h"
#include "storage/testing/witness.h"

namespace qkms::storage {
namespace {

constexpr std::uint64_t kCommits = 9;

std::uint64_t first_seed() {
  const char* const said = std::getenv("QKMS_SEED");
  return said != nullptr ? std::strtoull(said, nullptr, 10) : std::random_device()();
}

class SqlitePowerCut : public testing::Test {
 protected:
  // A disk of its own, with nothing on it yet.
  std::filesystem::path fresh_file() {
    std::filesystem::remove_all(work_);
    std::filesystem::create_directory(work_);
    return work_ / "store";
  }

  // Two lives that end with a power cut, the second while the first is recovered from, as a rule. Empty: all is well.
  // `came` says whether the first cut came.
  std::string cut_twice(std::uint64_t seed, std::uint64_t nth, PowerCutVfs::Syncs syncs, bool& came) {
    PowerCutVfs vfs(seed, syncs);
    Witness witness(fresh_file());
    vfs.cut_at(nth);
    witness.live(kCommits);
    came = vfs.dead();
    if (!came) vfs.cut_now();
    vfs.restart();
    vfs.cut_at(1 + seed % 40);
    witness.live(kCommits);
    vfs.cut_now();
    vfs.restart();
    return witness.verdict();
  }

  // A sync fails; the process ends at once or closes the store; the next one goes on from what the cache shows, and
  // then the power goes. `came` says whether there was such a sync, or so many changes after it.
  std::string fail_then_cut(std::uint64_t seed, std::uint64_t sync, PowerCutVfs::Then then, std::uint64_t nth,
                            bool& sync_came, bool& cut_came) {
    PowerCutVfs vfs(seed);
    Witness witness(fresh_file());
    vfs.fail_sync_at(sync, then);
    witness.live(kCommits);
    sync_came = vfs.sync_failed();
    vfs.kill_now();
    vfs.restart();
    vfs.cut_at(nth);
    witness.live(kCommits);
    cut_came = vfs.dead();
    vfs.cut_now();
    vfs.restart();
    return witness.verdict();
  }

  ScratchFolder folder_{fast_disk()};
  const std::filesystem::path work_ = folder_.path() / "work";
};

TEST_F(SqlitePowerCut, KeepsItsWordWhereverThePowerGoes) {
  const std::uint64_t seeds = tries_all() ? 8 : 1, first = first_seed();
  std::uint64_t cuts = 0;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    bool came = true;
    for (std::uint64_t nth = 1; came; ++nth, ++cuts) {
      ASSERT_EQ(cut_twice(seed + nth, nth, PowerCutVfs::Syncs::kHonest, came), "")
          << "change " << nth << ", QKMS_SEED=" << seed;
    }
  }
  std::cout << cuts << " positions, each cut twice, QKMS_SEED=" << first << "\n";
  EXPECT_GT(cuts, 100U);
}

// The kernel says once that a sync failed, and then forgets it: see the table of outcomes in docs/store-format.md.
TEST_F(SqlitePowerCut, KeepsItsWordAfterASyncThatFailedInAnEarlierLife) {
  const std::uint64_t first = first_seed();
  std::uint64_t seed = first, cuts = 0, syncs = 0;
  for (const auto then : {PowerCutVfs::Then::kKill, PowerCutVfs::Then::kGoOn}) {
    bool sync_came = true;
    for (std::uint64_t sync = 1; sync_came; ++sync, ++syncs) {
      bool cut_came = true;
      for (std::uint64_t nth = 1; sync_came && cut_came; nth += tries_all() ? 2 : 7 + nth / 2, ++cuts) {
        ASSERT_EQ(fail_then_cut(++seed, sync, then, nth, sync_came, cut_came), "")
            << "sync " << sync << (then == PowerCutVfs::Then::kKill ? " and kill" : "") << ", then change " << nth
            << ", QKMS_SEED=" << first;
      }
    }
  }
  std::cout << syncs << " syncs, " << cuts << " cuts after them, QKMS_SEED=" << first << "\n";
  EXPECT_GT(syncs, 20U);
}

// --- planted mistakes

TEST_F(SqlitePowerCut, WouldNoticeADiskThatLies) {
  const std::uint64_t first = first_seed();
  std::uint64_t noticed = 0;
  for (std::uint64_t nth = 30; nth < 130; ++nth) {
    bool came = true;
    noticed += !cut_twice(first + nth, nth, PowerCutVfs::Syncs::kLie, came).empty();
  }
  EXPECT_GT(noticed, 10U) << "QKMS_SEED=" << first;
}

// Every connection of this process opens with synchronous = OFF, and who sets it otherwise is not heard.
int deny_syncs(sqlite3* connection, const char**, const sqlite3_api_routines*) {
  const auto authorise = [](void*, int action, const char* name, const char* value, const char*, const char*) {
    const bool sets = action == SQLITE_PRAGMA && std::string_view(name) == "synchronous" && value != nullptr;
    return sets ? SQLITE_IGNORE : SQLITE_OK;
  };
  sqlite3_exec(connection, "PRAGMA synchronous = OFF", nullptr, nullptr, nullptr);
  return sqlite3_set_authorizer(connection, authorise, nullptr);
}

TEST_F(SqlitePowerCut, WouldNoticeAStoreThatDoesNotSync) {
  const auto hook = reinterpret_cast<void (*)()>(deny_syncs);
  ASSERT_EQ(sqlite3_auto_extension(hook), SQLITE_OK);
  const std::uint64_t first = first_seed();
  std::uint64_t noticed = 0;
  for (std::uint64_t nth = 30; nth < 130; ++nth) {
    bool came = true;
    noticed += !cut_twice(first + nth, nth, PowerCutVfs::Syncs::kHonest, came).empty();
  }
  sqlite3_cancel_auto_extension(hook);
  EXPECT_GT(noticed, 10U) << "QKMS_SEED=" << first;
}

}  // namespace
}  // namespace qkms::storage
