// What this folder asks of the operating system without SQLite in between: each write, sync and renaming fails in turn.
// The keyring, the change of its master key, files that are replaced whole, backups.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <iostream>

#include "storage/scratch_folder.h"
#include "storage/sqlite_store.h"
#include "storage/store_samples.h"
#include "storage/testing/os_faults.h"

namespace qkms::storage {
namespace {

using kms::Changes;
using kms::CommitOutcome;
using testing::HasSubstr;
using HowLong = OsFaults::HowLong;

class OsFaultsTest : public testing::Test {
 protected:
  Result<std::unique_ptr<SqliteStore>> open(std::uint8_t master_key = 1) {
    // An epoch per commit, and one row that lives through two of them is sealed anew: the keyring is always written.
    const EpochSettings epochs{.life = std::chrono::seconds(0), .reseal_after = 2};
    return SqliteStore::open(file_, bits(32, master_key), {.keyring = {}, .epochs = epochs});
  }
  void start_anew() {
    std::filesystem::remove_all(work_);
    std::filesystem::create_directory(work_);
  }
  static std::string content(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  OsFaults faults_;
  ScratchFolder folder_{fast_disk()};
  const std::filesystem::path work_ = folder_.path() / "work", file_ = work_ / "store", ring_ = work_ / "keyring";
};

// --- whichever fails, the store is whole

// Commit `id`: brings rows, and takes those of three commits before.
Changes rows(std::uint64_t id) {
  Changes changes;
  changes.node = sample_node();
  changes.node->record_limit = id;
  changes.put_peers.push_back(sample_peer("KME-B", id));
  changes.new_extents.emplace_back(sample_extent("KME-B", id), bits(64, static_cast<std::uint8_t>(id)));
  changes.put_assignments.push_back(sample_assignment("KME-B", id));
  if (id > 3) {
    changes.dropped_extents.push_back({kme("KME-B"), id - 3});
    changes.dropped_assignments.push_back({kme("KME-B"), id - 3});
  }
  return changes;
}

// What may be found: so many commits, or one more.
struct Promised {
  std::uint64_t durable = 0, maybe = 0;
};

// Two lives, of up to four commits each.
Promised live(const std::function<Result<std::unique_ptr<SqliteStore>>()>& open) {
  Promised promised;
  for (int life = 0; life < 2; ++life) {
    const auto store = open();
    if (!store) break;
    const std::uint64_t found = (*store)->load_all().value().node.record_limit;
    EXPECT_TRUE(promised.durable <= found && found <= promised.maybe) << found;
    promised.durable = promised.maybe = found;
    for (int i = 0; i < 4; ++i) {
      const std::uint64_t next = promised.durable + 1;
      const CommitOutcome outcome = (*store)->commit(rows(next));
      if (outcome == CommitOutcome::kUnknown) promised.maybe = next;
      if (outcome != CommitOutcome::kDurable) break;
      promised.durable = promised.maybe = next;
    }
  }
  return promised;
}

void expect_whole(SqliteStore& store, const Promised& promised) {
  EXPECT_THAT(store.quarantined(), testing::IsEmpty());
  EXPECT_FALSE(store.is_behind_keyring());
  if (promised.maybe == 0) return;
  const auto snapshot = store.load_all();
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  EXPECT_EQ(snapshot->unreadable, 0U);
  const std::uint64_t last = snapshot->node.record_limit;
  EXPECT_GE(last, promised.durable);
  EXPECT_LE(last, promised.maybe);
  kms::Needs needs;
  for (std::uint64_t id = last < 3 ? 1 : last - 2; id <= last; ++id) {
    needs.extent_bits.insert({kme("KME-B"), id});
    needs.assignments.insert({kme("KME-B"), id});
  }
  const kms::Loaded loaded = store.load(needs).value();
  EXPECT_EQ(loaded.extent_bits.size(), needs.extent_bits.size());
  EXPECT_EQ(loaded.assignments.size(), needs.assignments.size());
}

TEST_F(OsFaultsTest, LeavesTheStoreWholeWhicheverCallFails) {
  for (const int number : {EIO, ENOSPC}) {
    for (const HowLong how_long : {HowLong::kOnce, HowLong::kFromThenOn}) {
      std::uint64_t tried = 0;
      for (std::uint64_t nth = 1;; ++nth) {
        SCOPED_TRACE("call " + std::to_string(nth) + (how_long == HowLong::kOnce ? ", errno " : " and later, errno ") +
                     std::to_string(number));
        start_anew();
        faults_.arm(nth, how_long, number);
        const Promised promised = live([this] { return open(); });
        faults_.disarm();
        const auto store = open();
        ASSERT_TRUE(store) << store.error().text;
        expect_whole(**store, promised);
        if (HasFatalFailure() || !faults_.hit()) break;
        ++tried;
      }
      EXPECT_GT(tried, 20U);
      std::cout << "errno " << number << (how_long == HowLong::kOnce ? ", once: " : ", from then on: ") << tried
                << " positions\n";
    }
  }
}

// --- the master key

TEST_F(OsFaultsTest, SaysWhichMasterKeyIsInForceWhicheverCallFails) {
  int refused = 0, in_doubt = 0;
  for (std::uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE("call " + std::to_string(nth));
    start_anew();
    auto store = open().value();
    ASSERT_EQ(store->commit(rows(1)), CommitOutcome::kDurable);
    faults_.arm(nth, HowLong::kOnce, EIO);
    const Result<void> changed = store->change_master_key(bits(32, 2));
    faults_.disarm();
    const bool old_opens = Keyring::read(ring_, bits(32, 1)).has_value();
    const bool new_opens = Keyring::read(ring_, bits(32, 2)).has_value();
    EXPECT_NE(old_opens, new_opens);
    if (!changed && old_opens) {
      ++refused;
      EXPECT_THAT(changed.error().text, Not(HasSubstr("either")));
    } else if (!changed) {
      ++in_doubt;
      EXPECT_THAT(changed.error().text, HasSubstr("either of the two master keys may be in force: keep both"));
    } else {
      EXPECT_TRUE(new_opens);
    }
    // It goes on under what is in the file, and whoever asks again is told the truth.
    ASSERT_EQ(store->commit(rows(2)), CommitOutcome::kDurable);
    EXPECT_EQ(Keyring::read(ring_, bits(32, 2)).has_value(), new_opens);
    EXPECT_EQ(store->change_master_key(bits(32, 2)).has_value(), old_opens);
    store.reset();
    EXPECT_TRUE(open(2));
    if (!faults_.hit()) break;
  }
  EXPECT_GT(refused, 2);
  EXPECT_GT(in_doubt, 0);
}

// As long as it is in doubt, asking again is the way out.
TEST_F(OsFaultsTest, TakesAMasterKeyThatIsInDoubtASecondTime) {
  start_anew();
  const auto ring = Keyring::create(ring_, bits(32, 1)).value();
  ASSERT_TRUE(ring->begin_epoch());
  std::uint64_t nth = 1;
  for (;; ++nth) {
    faults_.arm(nth, HowLong::kOnce, EIO);
    const Result<void> changed = ring->change_master_key(bits(32, 2));
    faults_.disarm();
    ASSERT_FALSE(changed) << "no call left it in doubt";
    if (Keyring::read(ring_, bits(32, 2))) break;
  }
  EXPECT_TRUE(ring->change_master_key(bits(32, 2)));
  EXPECT_EQ(ring->change_master_key(bits(32, 2)).error().code, ErrorCode::kInvalid);
}

// --- files that are replaced

TEST_F(OsFaultsTest, LeavesNothingOfAReplacementThatFailed) {
  start_anew();
  const std::string before(100, 'b'), after(200, 'a');
  const auto bytes = [](const std::string& text) {
    return std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  };
  for (std::uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE("call " + std::to_string(nth));
    ASSERT_TRUE(replace_file(ring_, bytes(before)));
    faults_.arm(nth, HowLong::kOnce, ENOSPC);
    const Result<void> replaced = replace_file(ring_, bytes(after));
    faults_.disarm();
    EXPECT_FALSE(std::filesystem::exists(ring_.string() + ".new"));
    EXPECT_TRUE(content(ring_) == after || (!replaced && content(ring_) == before));
    if (!faults_.hit()) break;
  }
}

TEST_F(OsFaultsTest, OverwritesWhatAProcessThatDiedLeftAside) {
  start_anew();
  const std::filesystem::path aside = ring_.string() + ".new";
  std::ofstream(aside) << std::string(300, 's');
  const FileDescriptor left(::open(aside.c_str(), O_RDONLY));
  ASSERT_TRUE(replace_file(ring_, std::vector<std::uint8_t>(10, 1)));
  std::string found(300, '?');
  EXPECT_EQ(::pread(left.get(), found.data(), found.size(), 0), 300);
  EXPECT_EQ(found, std::string(300, '\0'));
}

// --- backups

// A sync takes as long as the copy is large.
TEST_F(OsFaultsTest, SyncsABackupOnAnotherThread) {
  start_anew();
  const auto store = open().value();
  ASSERT_EQ(store->commit(rows(1)), CommitOutcome::kDurable);
  const std::filesystem::path copy = work_ / "copy";
  const auto backup = store->begin_backup(copy).value();
  const std::uint64_t before = OsFaults::syncs_of_this_thread();
  while (!backup->step().value()) EXPECT_EQ(OsFaults::syncs_of_this_thread(), before);
  EXPECT_EQ(OsFaults::syncs_of_this_thread(), before);
  EXPECT_TRUE(std::filesystem::exists(copy));
}

TEST_F(OsFaultsTest, SaysThatABackupCouldNotBeSynced) {
  start_anew();
  const auto store = open().value();
  ASSERT_EQ(store->commit(rows(1)), CommitOutcome::kDurable);
  const std::filesystem::path copy = work_ / "copy";
  std::uint64_t failed = 0;
  for (std::uint64_t nth = 1;; ++nth) {
    auto backup = store->begin_backup(copy).value();
    faults_.arm(nth, HowLong::kOnce, EIO);
    Result<bool> done = false;
    while (done && !*done) done = backup->step();
    faults_.disarm();
    backup.reset();
    EXPECT_FALSE(std::filesystem::exists(copy.string() + ".new"));
    if (!faults_.hit()) break;
    EXPECT_FALSE(done);
    ++failed;
    std::filesystem::remove(copy);
  }
  EXPECT_EQ(failed, 3U) << "the file, its name, its folder";
}

}  // namespace
}  // namespace qkms::storage
