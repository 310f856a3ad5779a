// A copy of a store that goes on, and a store that is put back.
#include "storage/store_backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "storage/sqlite_log.h"
#include "storage/sqlite_store.h"
#include "storage/store_bench.h"
#include "storage/verify_store.h"

namespace qkms::storage {
namespace {

using kms::Changes;
using kms::CommitOutcome;
using testing::HasSubstr;

constexpr std::uint64_t kRecords = 5000;

class StoreBackupTest : public testing::Test {
 protected:
  std::unique_ptr<SqliteStore> open() { return SqliteStore::open(file_, bits(32, 1)).value(); }
  static void put_assignment(SqliteStore& store, std::uint64_t record) {
    Changes changes;
    changes.put_assignments.push_back(sample_assignment("KME-B", record));
    ASSERT_EQ(store.commit(std::move(changes)), CommitOutcome::kDurable);
  }
  // With a node, a peer, and more pages than one step copies.
  static void fill(SqliteStore& store) {
    Changes changes;
    changes.node = sample_node();
    changes.node->restored = false;
    changes.put_peers.push_back(sample_peer("KME-B"));
    for (std::uint64_t id = 1; id <= 200; ++id)
      changes.new_extents.emplace_back(sample_extent("KME-B", id), bits(64, static_cast<std::uint8_t>(id)));
    for (std::uint64_t record = 1; record <= kRecords; ++record)
      changes.put_assignments.push_back(sample_assignment("KME-B", record));
    ASSERT_EQ(store.commit(std::move(changes)), CommitOutcome::kDurable);
  }
  static std::set<std::uint64_t> assignments_of(SqliteStore& store) {
    kms::Needs needs;
    for (std::uint64_t record = 1; record <= kRecords + 10; ++record) needs.assignments.insert({kme("KME-B"), record});
    std::set<std::uint64_t> records;
    const kms::Loaded loaded = store.load(needs).value();
    for (const auto& [id, row] : loaded.assignments) records.insert(id.record);
    return records;
  }

  ScratchFolder folder_;
  std::filesystem::path file_ = folder_.path() / "store", copy_ = folder_.path() / "copy";
};

TEST_F(StoreBackupTest, HasWhatIsCommittedWhileItIsMade) {
  auto store = open();
  fill(*store);
  auto backup = store->begin_backup(copy_);
  ASSERT_TRUE(backup) << backup.error().text;
  std::uint64_t record = kRecords + 1;
  int steps = 1;
  for (Result<bool> done = (*backup)->step(); !done.value(); done = (*backup)->step(), ++steps) {
    if (record > kRecords + 2) continue;  // by now it may be copied, and be on its way to the disk
    EXPECT_FALSE(std::filesystem::exists(copy_));
    put_assignment(*store, record++);
  }
  EXPECT_GT(steps, 2);
  const auto before = assignments_of(*store);
  EXPECT_TRUE(before.contains(kRecords + 2));
  store.reset();
  struct stat status{};
  ASSERT_EQ(::stat(copy_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  ASSERT_TRUE(restore_store(copy_, file_));
  EXPECT_EQ(assignments_of(*open()), before);
}

TEST_F(StoreBackupTest, LeavesNothingWhenItIsGivenUp) {
  auto store = open();
  fill(*store);
  {
    auto backup = store->begin_backup(copy_);
    ASSERT_TRUE(backup);
    EXPECT_FALSE((*backup)->step().value());
  }
  EXPECT_FALSE(std::filesystem::exists(copy_));
  EXPECT_FALSE(std::filesystem::exists(copy_.string() + ".new"));
  put_assignment(*store, kRecords + 1);
}

TEST_F(StoreBackupTest, OverwritesNothing) {
  auto store = open();
  std::filesystem::copy_file(file_, copy_);
  const auto backup = store->begin_backup(copy_);
  ASSERT_FALSE(backup);
  EXPECT_THAT(backup.error().text, HasSubstr("is there already"));
}

TEST_F(StoreBackupTest, IsMarkedAsRestoredAndKeepsTheStoreThatWasThere) {
  auto store = open();
  fill(*store);
  store.reset();
  std::filesystem::copy_file(file_, copy_);
  store = open();
  put_assignment(*store, kRecords + 1);
  store.reset();
  ASSERT_TRUE(restore_store(copy_, file_));
  const std::filesystem::path before = file_.string() + ".before-restore";
  std::filesystem::rename(file_, copy_);
  std::filesystem::rename(before, file_);  // the way back, as long as nothing has been started
  EXPECT_TRUE(assignments_of(*open()).contains(kRecords + 1));
  ASSERT_TRUE(restore_store(copy_, file_));
  store = open();
  EXPECT_TRUE(store->load_all().value().node.restored);
  EXPECT_FALSE(assignments_of(*store).contains(kRecords + 1));
}

TEST_F(StoreBackupTest, IsNotRestoredUnderADaemonNorFromWhatIsNoStore) {
  auto store = open();
  fill(*store);
  std::filesystem::copy_file(file_, copy_);
  const auto busy = restore_store(copy_, file_);
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code, ErrorCode::kClosed);
  store.reset();
  const auto missing = restore_store(folder_.path() / "nothing", file_);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  std::filesystem::copy_file("/proc/self/exe", folder_.path() / "program");
  EXPECT_FALSE(restore_store(folder_.path() / "program", file_));
  EXPECT_TRUE(open()->load_all());  // untouched
}

// A restore that died between its moves is asked for again: the old store and its log are still whole.
TEST_F(StoreBackupTest, LosesNothingOfTheOldStoreWhenItIsRestoredAgain) {
  auto store = open();
  fill(*store);
  store.reset();
  std::filesystem::copy_file(file_, copy_);
  const std::filesystem::path before = file_.string() + ".before-restore";
  const auto content = [](const std::filesystem::path& file) {
    std::ifstream in(file);
    return std::string{std::istreambuf_iterator<char>(in), {}};
  };
  // Died before its last move, and before the one of the log.
  for (const std::filesystem::path& log : {log_of(before), log_of(file_)}) {
    for (const std::filesystem::path& file : {file_, before, log_of(before)}) std::filesystem::remove(file);
    std::ofstream(before) << "the old store";
    std::ofstream(log) << "its log";
    ASSERT_TRUE(restore_store(copy_, file_));
    EXPECT_EQ(content(before), "the old store");
    EXPECT_EQ(content(log_of(before)), "its log");
    EXPECT_FALSE(std::filesystem::exists(log_of(file_)));
  }
  // And once more, after it was done.
  ASSERT_TRUE(restore_store(copy_, file_));
  EXPECT_EQ(content(before), "the old store");
  EXPECT_EQ(content(log_of(before)), "its log");
  EXPECT_TRUE(std::filesystem::exists(before.string() + "-2"));
  EXPECT_TRUE(open()->load_all()->node.restored);
}

// What a killed restore or backup left beside its file would be taken for the log of the next one.
TEST_F(StoreBackupTest, TakesNothingInOfAnAttemptThatDied) {
  auto store = open();
  fill(*store);
  store.reset();
  std::filesystem::copy_file(file_, copy_);
  const std::filesystem::path aside = file_.string() + ".new";
  std::filesystem::copy_file(file_, aside);
  {
    const std::unique_ptr<Database> database = Database::open(aside).value();
    database->leave_log();
    ASSERT_TRUE(database->execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL"));
    ASSERT_TRUE(database->execute("UPDATE node SET record_limit = 7, restored = 1"));
  }
  ASSERT_TRUE(std::filesystem::exists(log_of(aside)));
  store = open();
  put_assignment(*store, kRecords + 1);
  store.reset();
  ASSERT_TRUE(restore_store(copy_, file_));
  EXPECT_FALSE(std::filesystem::exists(log_of(aside)));
  const auto snapshot = open()->load_all();
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  EXPECT_EQ(snapshot->node.record_limit, sample_node().record_limit);
}

// Step 3 of docs/operations/restore.md.
TEST_F(StoreBackupTest, IsSoundOnceItIsMarkedAsRestored) {
  auto store = open();
  fill(*store);
  store.reset();
  std::filesystem::copy_file(file_, copy_);
  store = open();  // another epoch; the one of the copy goes with its rows
  Changes changes;
  changes.burned = true;
  changes.put_peers.push_back(sample_peer("KME-B", 9));
  ASSERT_EQ(store->commit(std::move(changes)), CommitOutcome::kDurable);
  store.reset();
  std::filesystem::copy_file(copy_, file_, std::filesystem::copy_options::overwrite_existing);
  EXPECT_FALSE(verify_store(file_, {}, bits(32, 1))->sound()) << "nobody said that it was put back";
  ASSERT_TRUE(restore_store(copy_, file_));
  const VerifyReport report = verify_store(file_, {}, bits(32, 1)).value();
  EXPECT_TRUE(report.behind_keyring);
  EXPECT_TRUE(report.marked_as_restored);
  EXPECT_EQ(report.discrepancies.size(), 1U);
  std::uint64_t unreadable = 0, destroyed = 0;
  for (const VerifyReport::Table& table : report.tables) {
    unreadable += table.unreadable;
    destroyed += table.destroyed;
  }
  EXPECT_EQ(destroyed, kRecords + 401) << "all but the node's own";
  EXPECT_EQ(unreadable, destroyed);
  EXPECT_TRUE(report.sound());
  ASSERT_TRUE(Database::open(file_).value()->execute("DELETE FROM assignment WHERE record = 2"));
  EXPECT_FALSE(verify_store(file_, {}, bits(32, 1))->sound()) << "tampered with";
}

TEST_F(StoreBackupTest, IsFoundToBeOldByTheKeyringEvenIfNobodySaysSo) {
  auto store = open();
  fill(*store);
  store.reset();
  std::filesystem::copy_file(file_, copy_);
  for (int life = 0; life < 2; ++life) put_assignment(*open(), kRecords + 1 + static_cast<std::uint64_t>(life));
  std::filesystem::copy_file(copy_, file_, std::filesystem::copy_options::overwrite_existing);
  store = open();
  EXPECT_TRUE(store->is_behind_keyring());
  EXPECT_TRUE(store->load_all().value().node.restored);
  Changes burn;
  burn.burned = true;
  ASSERT_EQ(store->commit(std::move(burn)), CommitOutcome::kDurable);
  EXPECT_FALSE(store->load_all().value().node.restored);
}

TEST_F(StoreBackupTest, AnotherMasterKeyOpensItAndTheOldOneDoesNot) {
  auto store = open();
  fill(*store);
  const auto before = describe(store->load_all().value());
  EXPECT_EQ(store->change_master_key(bits(32, 1)).error().code, ErrorCode::kInvalid);
  ASSERT_TRUE(store->change_master_key(bits(32, 2)));
  put_assignment(*store, kRecords + 1);
  store.reset();
  const auto old = SqliteStore::open(file_, bits(32, 1));
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().code, ErrorCode::kInvalid);
  store = SqliteStore::open(file_, bits(32, 2)).value();
  EXPECT_EQ(describe(store->load_all().value()), before);
  EXPECT_TRUE(assignments_of(*store).contains(kRecords + 1));
}

}  // namespace
}  // namespace qkms::storage
