// Somebody writes to a stopped store: every kind of change is found at the next opening or when the row is read, the
// group is named, and nothing of it is served. Threat T23.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "storage/head_table.h"
#include "storage/kill_at_syscall.h"
#include "storage/sqlite_log.h"
#include "storage/store_bench.h"
#include "storage/verify_store.h"

namespace qkms::storage {
namespace {

using kms::Changes;
using kms::CommitOutcome;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class StoreTamperTest : public testing::Test {
 protected:
  std::unique_ptr<SqliteStore> open() {
    auto store = SqliteStore::open(file_, bits(32, 1));
    EXPECT_TRUE(store) << store.error().text;
    return std::move(store.value());
  }
  ErrorCode refusal(std::string_view words) {
    const auto store = SqliteStore::open(file_, bits(32, 1));
    if (store) return ADD_FAILURE() << "opened", ErrorCode::kInternal;
    EXPECT_THAT(store.error().text, HasSubstr(words));
    return store.error().code;
  }
  void expect_corrupt(std::string_view words) {
    const auto verified = verify_store(file_, {}, bits(32, 1));
    EXPECT_TRUE(!verified && verified.error().code == ErrorCode::kCorrupt);
    EXPECT_EQ(refusal(words), ErrorCode::kCorrupt);
  }
  static void commit(kms::Store& store, Changes changes) {
    ASSERT_EQ(store.commit(std::move(changes)), CommitOutcome::kDurable);
  }
  // Two peers, two links, two rows of each kind.
  static Changes sample_changes() {
    Changes changes;
    changes.node = sample_node();
    for (const char* peer : {"KME-B", "KME-C"}) {
      changes.put_peers.push_back(sample_peer(peer));
      for (const std::uint64_t id : {1, 2}) {
        changes.new_extents.emplace_back(sample_extent(peer, id), bits(64, static_cast<std::uint8_t>(id)));
        changes.put_assignments.push_back(sample_assignment(peer, id));
        changes.new_outbox.push_back({kme(peer), id, api::Void{.record = id}});
      }
    }
    for (const char* name : {"link-b", "link-c"}) {
      for (const std::uint32_t id : {1U, 2U}) changes.new_blocks.push_back(sample_block(name, id));
    }
    return changes;
  }
  void fill() { commit(*open(), sample_changes()); }
  void start_anew() {
    std::filesystem::remove(file_);
    std::filesystem::remove(keyring_beside(file_));
    fill();
  }
  // SQL on the stopped store; `old` is attached to it when there is a copy.
  void sql(const std::string& text) {
    const std::unique_ptr<Database> database = Database::open(file_).value();
    if (std::filesystem::exists(copy_)) {
      ASSERT_TRUE(database->execute(("ATTACH '" + copy_.string() + "' AS old").c_str()));
    }
    const Result<void> done = database->execute(text.c_str());
    ASSERT_TRUE(done) << done.error().text;
  }
  // Whoever wrote last did not close: there is a log that nobody settled.
  void leave_a_log(const char* text) {
    const std::unique_ptr<Database> database = Database::open(file_).value();
    database->leave_log();
    ASSERT_TRUE(database->execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL"));
    ASSERT_TRUE(database->execute(text));
  }
  static std::string content(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void copy_store() { std::filesystem::copy_file(file_, copy_, std::filesystem::copy_options::overwrite_existing); }
  VerifyReport verify() { return verify_store(file_, {}, bits(32, 1)).value(); }
  static std::vector<std::string> names(const SqliteStore& store) {
    std::vector<std::string> found;
    for (const Quarantined& group : store.quarantined()) found.push_back(group.name);
    return found;
  }
  // Everything of one peer's that a store would serve.
  static std::uint64_t rows_of(kms::Store& store, const char* peer) {
    const kms::Snapshot snapshot = store.load_all().value();
    kms::Needs needs;
    for (const std::uint64_t id : {1, 2, 3}) {
      needs.extent_bits.insert({kme(peer), id});
      needs.assignments.insert({kme(peer), id});
    }
    const kms::Loaded loaded = store.load(needs).value();
    const auto of_peer = [peer](const auto& row) { return row.peer == kme(peer); };
    return static_cast<std::uint64_t>(std::ranges::count_if(snapshot.peers, of_peer) +
                                      std::ranges::count_if(snapshot.extents, of_peer) +
                                      std::ranges::count_if(snapshot.outbox, of_peer)) +
           loaded.extent_bits.size() + loaded.assignments.size();
  }
  static constexpr std::uint64_t kRowsOfAPeer = 9;

  ScratchFolder folder_;
  std::filesystem::path file_ = folder_.path() / "store", copy_ = folder_.path() / "copy";
};

// What a change history leaves behind: rows of KME-B replaced, moved and dropped, and new ones.
Changes later_changes() {
  Changes changes;
  changes.node = sample_node();
  changes.node->record_limit += 10;
  changes.put_peers = {sample_peer("KME-B", 50)};
  changes.moved_extents = {sample_extent("KME-B", 1, 32)};
  changes.dropped_extents = {{kme("KME-B"), 2}};
  changes.new_extents.emplace_back(sample_extent("KME-B", 3), bits(64, 3));
  changes.put_assignments.push_back(sample_assignment("KME-B", 1));
  changes.put_assignments.back().fetched = {0x8003, 3};
  changes.dropped_assignments = {{kme("KME-B"), 2}};
  changes.acknowledged_outbox = {{kme("KME-B"), 1}};
  changes.new_outbox.push_back({kme("KME-B"), 3, api::Void{.record = 3}});
  changes.dropped_blocks = {{link("link-b"), block(1)}};
  changes.new_blocks.push_back(sample_block("link-b", 3));
  return changes;
}

struct Tampering {
  const char* name;
  std::string sql;
  std::string group = "KME-B";
};

std::string row_of_b(const std::string& column, int number) {
  return " WHERE peer = (SELECT number FROM name WHERE text = 'KME-B') AND " + column + " = " + std::to_string(number);
}

TEST_F(StoreTamperTest, NamesTheGroupOfARowThatWasRemovedAddedChangedOrPutBack) {
  const std::string b = "(SELECT number FROM name WHERE text = 'KME-B')";
  const std::string flip_tag = "substr(X, 1, 20) || x'ffff' || substr(X, 23)";
  const auto flip = [&](std::string column) {
    std::string sql = "CAST(" + flip_tag + " AS BLOB)";
    for (std::size_t at; (at = sql.find('X')) != std::string::npos;) sql.replace(at, 1, column);
    return " SET " + column + " = " + sql;
  };
  const std::vector<Tampering> cases = {
      {"an assignment removed", "DELETE FROM assignment WHERE issuer = " + b + " AND record = 1"},
      {"extent removed", "DELETE FROM extent" + row_of_b("id", 1)},
      {"extent bits removed", "DELETE FROM extent_bits" + row_of_b("id", 1)},
      {"message removed", "DELETE FROM outbox" + row_of_b("sequence", 2)},
      {"peer removed", "DELETE FROM peer WHERE peer = " + b},
      {"block removed", "DELETE FROM block WHERE number = (SELECT max(number) FROM block)", "link-b"},
      {"all of it removed", "DELETE FROM name WHERE text = 'KME-B'"},
      {"an assignment put back",
       "INSERT INTO assignment SELECT * FROM old.assignment WHERE issuer = " + b + " AND record = 2"},
      {"an assignment as it was",
       "INSERT OR REPLACE INTO assignment SELECT * FROM old.assignment WHERE issuer = " + b + " AND record = 1"},
      {"a front as it was", "INSERT OR REPLACE INTO extent SELECT * FROM old.extent WHERE peer = " + b + " AND id = 1"},
      {"a used extent put back", "INSERT INTO extent SELECT * FROM old.extent WHERE peer = " + b + " AND id = 2;" +
                                     "INSERT INTO extent_bits SELECT * FROM old.extent_bits WHERE peer = " + b +
                                     " AND id = 2"},
      {"counters as they were", "INSERT OR REPLACE INTO peer SELECT * FROM old.peer WHERE peer = " + b},
      {"a message put back", "INSERT INTO outbox SELECT * FROM old.outbox WHERE peer = " + b + " AND sequence = 1"},
      {"a block put back", "INSERT INTO block SELECT * FROM old.block WHERE number = 1", "link-b"},
      {"a row twice", "INSERT INTO outbox SELECT peer, 9, message FROM outbox WHERE peer = " + b + " AND sequence = 2"},
      {"a tag flipped", "UPDATE assignment" + flip("bits") + " WHERE issuer = " + b + " AND record = 1"},
      {"a peer's tag flipped", "UPDATE peer" + flip("seal") + " WHERE peer = " + b},
      {"a peer's counter changed", "UPDATE peer SET delivered = delivered - 1 WHERE peer = " + b},
      {"a peer's ID key cut", "UPDATE peer SET peer_id_key = zeroblob(31) WHERE peer = " + b},
      {"a seal cut to nothing", "UPDATE extent_bits SET bits = zeroblob(0)" + row_of_b("id", 1)},
      {"a seal of another kind", "UPDATE extent_bits SET bits = x'0102'" + row_of_b("id", 1)},
      {"renamed", "UPDATE name SET text = 'KME-X' WHERE text = 'KME-B'"},
      {"the head of before",
       "INSERT OR REPLACE INTO head SELECT * FROM old.head;"
       "INSERT OR REPLACE INTO node SELECT * FROM old.node"},
  };
  for (const Tampering& tampering : cases) {
    SCOPED_TRACE(tampering.name);
    start_anew();
    copy_store();
    commit(*open(), later_changes());
    sql(tampering.sql);
    std::filesystem::remove(copy_);
    const VerifyReport report = verify();
    EXPECT_FALSE(report.sound());
    EXPECT_THAT(report.discrepancies, testing::Contains(testing::Field(&Discrepancy::name, tampering.group)));
    std::unique_ptr<SqliteStore> store = open();
    EXPECT_THAT(names(*store), testing::Contains(tampering.group));
    EXPECT_GT(store->load_all()->unreadable, 0U);
    if (tampering.group == "KME-B") {
      EXPECT_EQ(rows_of(*store, "KME-B"), 0U);
    } else {
      EXPECT_EQ(rows_of(*store, "KME-B"), 8U);
    }
    EXPECT_EQ(rows_of(*store, "KME-C"), kRowsOfAPeer) << "what others share is as it was";
    // It goes on, with new rows under the numbers of old ones.
    Changes fresh;
    fresh.put_peers = {sample_peer("KME-B")};
    if (tampering.group == "KME-B") fresh.new_extents.emplace_back(sample_extent("KME-B", 1), bits(64, 9));
    commit(*store, std::move(fresh));
    store.reset();
    store = open();
    EXPECT_THAT(names(*store), IsEmpty());
    EXPECT_EQ(store->load_all()->unreadable, 0U);
  }
}

TEST_F(StoreTamperTest, FindsNothingAmissInAnUntouchedStore) {
  fill();
  commit(*open(), later_changes());
  EXPECT_TRUE(verify().sound());
  const auto store = open();
  EXPECT_THAT(names(*store), IsEmpty());
  EXPECT_EQ(store->load_all()->unreadable, 0U);
  EXPECT_FALSE(store->is_behind_keyring());
}

TEST_F(StoreTamperTest, IsVerifiedTableByTableAndLeftAsItIs) {
  fill();
  sql("UPDATE assignment SET expires_at = expires_at + 1 WHERE record = 1");
  const std::string before = content(file_);
  for (int i = 0; i < 2; ++i) {
    const VerifyReport report = verify();
    EXPECT_FALSE(report.sound());
    EXPECT_THAT(report.discrepancies, IsEmpty()) << "bits that rot are no replay";
    ASSERT_THAT(report.tables, testing::SizeIs(kSealedColumns.size()));
    for (const VerifyReport::Table& table : report.tables) {
      EXPECT_EQ(table.rows, table.name == "node" ? 1U : table.name == "peer" ? 2U : 4U) << table.name;
      EXPECT_EQ(table.unreadable, table.name == "assignment" ? 2U : 0U) << table.name;
    }
  }
  EXPECT_TRUE(content(file_) == before);
}

TEST_F(StoreTamperTest, IsNotVerifiedWhileItIsInUseNorWhenThereIsNone) {
  EXPECT_EQ(verify_store(file_, {}, bits(32, 1)).error().code, ErrorCode::kNotFound);
  const auto store = open();
  EXPECT_EQ(verify_store(file_, {}, bits(32, 1)).error().code, ErrorCode::kClosed);
}

// Rows swapped within a group have the right seals, so the census adds up: but at their new places they do not open.
TEST_F(StoreTamperTest, OpensNoRowsThatWereSwappedWithinAGroup) {
  fill();
  sql("CREATE TEMP TABLE was AS SELECT issuer, record, bits FROM assignment; UPDATE assignment SET bits = (SELECT bits "
      "FROM was WHERE was.issuer = assignment.issuer AND was.record = 3 - assignment.record)");
  const auto store = open();
  EXPECT_THAT(names(*store), IsEmpty());
  EXPECT_EQ(store->load({.extent_bits = {}, .assignments = {{kme("KME-B"), 1}, {kme("KME-B"), 2}}, .expired_at = {}})
                ->unreadable,
            2U);
}

TEST_F(StoreTamperTest, FindsRowsThatWereSwappedBetweenGroups) {
  fill();
  sql("CREATE TEMP TABLE was AS SELECT * FROM outbox; DELETE FROM outbox; INSERT INTO outbox SELECT (SELECT max(peer) "
      "+ min(peer) FROM was) - peer, sequence, message FROM was");
  const auto store = open();
  EXPECT_THAT(names(*store), ElementsAre("KME-B", "KME-C"));
  EXPECT_EQ(rows_of(*store, "KME-B") + rows_of(*store, "KME-C"), 0U);
}

// A flipped bit costs that row alone.
TEST_F(StoreTamperTest, LosesOneAssignmentToAFlippedBit) {
  fill();
  sql("UPDATE assignment SET bits = CAST(substr(bits, 1, 40) || x'00' || substr(bits, 42) AS BLOB) WHERE record = 1 "
      "AND issuer = (SELECT number FROM name WHERE text = 'KME-B')");
  const auto store = open();
  EXPECT_THAT(names(*store), IsEmpty());
  EXPECT_EQ(rows_of(*store, "KME-B"), kRowsOfAPeer - 1);
}

TEST_F(StoreTamperTest, DoesNotRunWithAnOldNodeRow) {
  fill();
  copy_store();
  commit(*open(), later_changes());
  sql("INSERT OR REPLACE INTO node SELECT * FROM old.node");
  EXPECT_EQ(refusal("its own row (node)"), ErrorCode::kCorrupt);
  sql("DELETE FROM node");
  EXPECT_EQ(refusal("its own row (node)"), ErrorCode::kCorrupt);
}

TEST_F(StoreTamperTest, DoesNotRunWithoutItsHead) {
  for (const char* change : {"DELETE FROM head", "UPDATE head SET seal = zeroblob(200)",
                             "UPDATE head SET seal = substr(seal, 1, 90)", "UPDATE head SET store = zeroblob(3)"}) {
    SCOPED_TRACE(change);
    start_anew();
    sql(change);
    EXPECT_EQ(refusal("its head"), ErrorCode::kCorrupt);
  }
}

TEST_F(StoreTamperTest, DoesNotRunWithoutItsKeyring) {
  fill();
  const std::filesystem::path ring = keyring_beside(file_);
  std::filesystem::rename(ring, copy_);
  EXPECT_EQ(refusal("is missing, and without it no row opens"), ErrorCode::kCorrupt);
  EXPECT_FALSE(std::filesystem::exists(ring)) << "and makes none";
  std::ofstream(ring, std::ios::binary) << std::string(5000, 'x');
  EXPECT_EQ(refusal("is no keyring"), ErrorCode::kCorrupt);
  std::filesystem::rename(copy_, ring);
  EXPECT_EQ(rows_of(*open(), "KME-B"), kRowsOfAPeer);
}

TEST_F(StoreTamperTest, DoesNotRunWithTheKeyringOfAnotherStore) {
  fill();
  const std::filesystem::path other = folder_.path() / "other";
  std::filesystem::create_directory(other);
  ASSERT_TRUE(SqliteStore::open(other / "store", bits(32, 1)));
  std::filesystem::copy_file(other / "keyring", keyring_beside(file_),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(refusal("belongs to another store"), ErrorCode::kInvalid);
  std::filesystem::remove(file_);
  EXPECT_EQ(refusal("belongs to a store that was here before"), ErrorCode::kInvalid);
}

// Rows that were sealed since would not open. However often it is tried.
TEST_F(StoreTamperTest, DoesNotRunWithAnOldKeyring) {
  fill();
  std::filesystem::copy_file(keyring_beside(file_), copy_);
  const std::filesystem::path latest = folder_.path() / "latest";
  open();
  std::filesystem::rename(keyring_beside(file_), latest);
  std::filesystem::rename(copy_, keyring_beside(file_));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(refusal("is an old copy"), ErrorCode::kCorrupt);
  std::filesystem::rename(latest, keyring_beside(file_));
  EXPECT_EQ(rows_of(*open(), "KME-B"), kRowsOfAPeer);
}

// --- the whole file put back

Changes burning() {
  Changes changes;
  changes.burned = true;
  changes.node = sample_node();
  changes.node->restored = false;
  return changes;
}

TEST_F(StoreTamperTest, KnowsAnOldCopyOfItselfUntilACommitHasBurnedIt) {
  fill();
  sql("UPDATE node SET restored = 0");
  copy_store();
  commit(*open(), later_changes());
  std::filesystem::rename(copy_, file_);
  EXPECT_TRUE(verify().behind_keyring);
  for (int start = 0; start < 3; ++start) {
    SCOPED_TRACE("start " + std::to_string(start));
    std::unique_ptr<SqliteStore> store = open();
    EXPECT_TRUE(store->is_behind_keyring() && store->load_all()->node.restored);
    if (start == 1) commit(*store, {});  // which burns nothing
    store.reset();
    sql("UPDATE node SET restored = 0");  // whoever put the file back can do this, too
    EXPECT_TRUE(verify().behind_keyring);
  }
  commit(*open(), burning());
  const auto store = open();
  EXPECT_FALSE(store->is_behind_keyring()) << "from then on it is the store";
  EXPECT_FALSE(store->load_all()->node.restored);
}

// However early a start dies, the next one knows that the store was put back.
TEST_F(StoreTamperTest, KnowsAnOldCopyAfterAKillAtEachStepUpToTheCommitThatBurns) {
  fill();
  sql("UPDATE node SET restored = 0");
  copy_store();
  Changes given;
  given.dropped_assignments = {{kme("KME-B"), 1}};
  commit(*open(), std::move(given));
  const std::filesystem::path model = folder_.path() / "model", run = folder_.path() / "run";
  std::filesystem::create_directory(model);
  std::filesystem::rename(copy_, model / "store");
  std::filesystem::rename(keyring_beside(file_), model / "keyring");
  const auto start_and_burn = [&run] {
    const auto store = SqliteStore::open(run / "store", bits(32, 1));
    if (!store || !(*store)->load_all()->node.restored) return 2;
    return (*store)->commit(burning()) == CommitOutcome::kDurable ? 0 : 3;
  };
  int marked = 0, burned = 0;
  for (int nth = 1;; ++nth) {
    SCOPED_TRACE("killed before change " + std::to_string(nth));
    std::filesystem::remove_all(run);
    std::filesystem::copy(model, run);
    const Killed killed = kill_at_syscall(nth, start_and_burn);
    ASSERT_NE(killed, Killed::kNotPossible) << "this test needs ptrace";
    const auto store = SqliteStore::open(run / "store", bits(32, 1));
    ASSERT_TRUE(store) << store.error().text;
    const bool restored = (*store)->load_all()->node.restored;
    ++(restored ? marked : burned);
    ASSERT_TRUE(restored || rows_of(**store, "KME-B") == 3) << "more than the peer's row and two messages";
    if (killed == Killed::kNot) break;
  }
  EXPECT_GT(marked, 20);
  EXPECT_GT(burned, 0);
}

// --- what is not sealed

// A trigger could keep a row that is deleted, a table without its key could hold one twice.
TEST_F(StoreTamperTest, DoesNotRunWithASchemaThatIsNotItsOwn) {
  for (const char* change : {
           "CREATE TRIGGER t BEFORE DELETE ON assignment BEGIN SELECT RAISE(IGNORE); END",
           "CREATE VIEW v AS SELECT * FROM assignment",
           "CREATE INDEX i ON assignment (expires_at)",
           "CREATE TABLE other (a)",
           "DROP TABLE seen_block",
           "ALTER TABLE name ADD COLUMN x INTEGER",
           "CREATE TABLE a AS SELECT * FROM assignment; DROP TABLE assignment; ALTER TABLE a RENAME TO assignment",
       }) {
    SCOPED_TRACE(change);
    start_anew();
    sql(change);
    expect_corrupt("its schema is not");
  }
}

TEST_F(StoreTamperTest, RunsNoTriggerAndReadsNoView) {
  fill();
  sql("CREATE TRIGGER t BEFORE DELETE ON outbox BEGIN SELECT RAISE(IGNORE); END; CREATE VIEW v AS SELECT 1;"
      "DELETE FROM outbox");
  const std::unique_ptr<Database> database = Database::open(file_).value();
  EXPECT_EQ(*database->query_number("SELECT count(*) FROM outbox"), 0);
  EXPECT_FALSE(database->query_number("SELECT * FROM v"));
  EXPECT_FALSE(database->execute("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = NULL WHERE name = 'v'"));
}

// Rows are found by numbers that stand in no seal: each must mean one thing.
TEST_F(StoreTamperTest, DoesNotRunWithNumbersThatItNeverGives) {
  for (const char* change : {
           "INSERT INTO name SELECT -number, text FROM name WHERE text = 'KME-B'",
           "INSERT INTO name SELECT number + 100, text FROM name WHERE text = 'KME-B'",
           "INSERT INTO name VALUES (0, 'new')",
           "INSERT INTO name VALUES (-1, 'new')",
           "INSERT INTO name VALUES (9223372036854775807, 'new')",
           "UPDATE block SET number = 9223372036854775807 WHERE number = 4",
           "UPDATE block SET number = -9223372036854775807 WHERE number = 1",
           "UPDATE block SET block = (SELECT block FROM block WHERE number = 2) WHERE number = 1",
           "INSERT INTO seen_block VALUES (1, 9223372036854775807, zeroblob(16))",
           "INSERT INTO seen_block VALUES (1, -9223372036854775807, zeroblob(16))",
       }) {
    SCOPED_TRACE(change);
    start_anew();
    sql(change);
    expect_corrupt("is not as this store writes it");
  }
}

// The time of expiry is believed when the row opens: a flipped bit in the first record must not keep all the others.
TEST_F(StoreTamperTest, LetsOthersExpireBehindARecordWhoseTimeIsWrong) {
  Changes changes = sample_changes();
  for (std::uint64_t record = 3; record <= 9; ++record)
    changes.put_assignments.push_back(sample_assignment("KME-B", record));
  changes.put_assignments.push_back(sample_assignment("KME-B", 10, 9000));
  changes.put_assignments.push_back(sample_assignment("KME-B", 11));
  commit(*open(), std::move(changes));
  sql("UPDATE assignment SET expires_at = expires_at | (1 << 60) WHERE record = 1 AND issuer = (SELECT number FROM "
      "name WHERE text = 'KME-B')");
  const auto store = open();
  kms::Needs needs;
  needs.expired_at = 5000;
  const kms::Loaded loaded = store->load(needs).value();
  EXPECT_EQ(std::ranges::count(loaded.expired, kme("KME-B"), &kms::AssignmentId::issuer), 8) << "records 2 to 9";
  EXPECT_EQ(loaded.unreadable, 1U);
  EXPECT_EQ(store->load(needs)->unreadable, 0U) << "counted once";
}

// --- refused, verified: left as it is

TEST_F(StoreTamperTest, IsLeftWithItsLogWhenItIsOfANewerVersion) {
  fill();
  sql("PRAGMA user_version = 3");
  leave_a_log("CREATE TABLE from_the_future (a)");
  const std::string store = content(file_), log = content(log_of(file_));
  ASSERT_GT(log.size(), 1000U);
  EXPECT_EQ(refusal("by a newer qkms"), ErrorCode::kInvalid);
  EXPECT_EQ(verify_store(file_, {}, bits(32, 1)).error().code, ErrorCode::kInvalid);
  EXPECT_TRUE(content(file_) == store);
  EXPECT_TRUE(content(log_of(file_)) == log);
}

TEST_F(StoreTamperTest, IsLeftWithItsLogWhenItIsVerified) {
  fill();
  leave_a_log("UPDATE node SET restored = 0");
  const std::string store = content(file_), log = content(log_of(file_));
  ASSERT_GT(log.size(), 1000U);
  EXPECT_TRUE(verify().sound());
  EXPECT_TRUE(content(file_) == store);
  EXPECT_TRUE(content(log_of(file_)) == log);
  EXPECT_FALSE(open()->load_all()->node.restored);
  EXPECT_EQ(content(log_of(file_)), "") << "an opening settles it and takes it in";
}

}  // namespace
}  // namespace qkms::storage
