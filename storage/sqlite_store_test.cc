// The store in SQLite beyond the contract: what it finds on a disk, what it leaves there, and what it says when the
// disk fails.
#include "storage/sqlite_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>
#include <set>

#include "storage/sqlite_schema.h"
#include "storage/store_bench.h"

namespace qkms::storage {
namespace {

using kms::Changes;
using kms::CommitOutcome;
using testing::HasSubstr;

class SqliteStoreTest : public testing::Test {
 protected:
  Result<std::unique_ptr<SqliteStore>> try_open(std::uint8_t key = 1) {
    return SqliteStore::open(file_, bits(32, key));
  }
  std::unique_ptr<SqliteStore> open() { return try_open().value(); }

  void expect_refusal(ErrorCode code, std::string_view words, std::uint8_t key = 1) {
    const Result<std::unique_ptr<SqliteStore>> store = try_open(key);
    ASSERT_FALSE(store) << words;
    EXPECT_EQ(store.error().code, code);
    EXPECT_THAT(store.error().text, HasSubstr(words));
    EXPECT_THAT(store.error().text, HasSubstr(file_.string()));
  }
  void start_anew() {
    std::filesystem::remove(file_);
    std::filesystem::remove(keyring_beside(file_));
  }
  void write_file(std::string_view content) { std::ofstream(file_, std::ios::binary) << content; }
  std::string read_file() {
    std::ifstream in(file_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // SQL on a store that is closed.
  void sql(const std::string& text) {
    const std::unique_ptr<Database> database = Database::open(file_).value();
    const Result<void> done = database->execute(text.c_str());
    ASSERT_TRUE(done) << done.error().text;
  }

  static Changes sample_changes() {
    Changes changes;
    changes.node = sample_node();
    changes.put_peers = {sample_peer("KME-B")};
    for (const std::uint64_t id : {1, 2}) {
      changes.new_extents.emplace_back(sample_extent("KME-B", id), bits(64, static_cast<std::uint8_t>(id)));
      changes.new_blocks.push_back(sample_block("link", static_cast<std::uint32_t>(id)));
      changes.put_assignments.push_back(sample_assignment("KME-B", id));
      changes.new_outbox.push_back({kme("KME-B"), id, api::Void{.record = id}});
    }
    return changes;
  }
  void begin_anew() {
    std::filesystem::remove(file_);
    std::filesystem::remove(keyring_beside(file_));
  }
  void fill() { ASSERT_EQ(open()->commit(sample_changes()), CommitOutcome::kDurable); }
  static kms::Needs all_rows() {
    kms::Needs needs;
    for (const std::uint64_t id : {1, 2}) {
      needs.extent_bits.insert({kme("KME-B"), id});
      needs.assignments.insert({kme("KME-B"), id});
    }
    return needs;
  }

  ScratchFolder folder_;
  std::filesystem::path file_ = folder_.path() / "qkms.store";
};

TEST_F(SqliteStoreTest, MakesAFileThatNobodyElseMayRead) {
  fill();
  struct stat status{};
  ASSERT_EQ(::stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
}

TEST_F(SqliteStoreTest, TakesAnEmptyFileAsNew) {
  write_file("");
  EXPECT_EQ(describe(*open()->load_all()), describe(kms::Snapshot{}));
}

TEST_F(SqliteStoreTest, RefusesWhatIsNoStore) {
  struct Case {
    const char* name;
    std::function<void()> make;
    ErrorCode code;
    const char* words;
  };
  const Case cases[] = {
      {"text", [&] { write_file(std::string(5000, 'x')); }, ErrorCode::kCorrupt, "not a database"},
      {"one byte", [&] { write_file("x"); }, ErrorCode::kCorrupt, "too short"},
      {"a directory", [&] { std::filesystem::create_directory(file_); }, ErrorCode::kInvalid, "not a regular file"},
      {"a FIFO", [&] { ::mkfifo(file_.c_str(), 0600); }, ErrorCode::kInvalid, "not a regular file"},
      {"a symbolic link", [&] { std::filesystem::create_symlink("x", file_); }, ErrorCode::kInvalid, "not a regular"},
      {"somebody else's database",
       [&] {
         write_file("");
         sql("CREATE TABLE theirs (a)");
       },
       ErrorCode::kInvalid, "not a store of qkms"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    c.make();
    expect_refusal(c.code, c.words);
    std::filesystem::remove_all(file_);
  }
}

TEST_F(SqliteStoreTest, LeavesSomebodyElsesDatabaseAsItIs) {
  write_file("");
  sql("CREATE TABLE theirs (a)");
  const std::string before = read_file();
  EXPECT_FALSE(try_open());
  EXPECT_EQ(read_file(), before);
}

TEST_F(SqliteStoreTest, SaysWhyAFileCannotBeOpened) {
  file_ = folder_.path() / "nowhere" / "qkms.store";
  const Result<std::unique_ptr<SqliteStore>> store = try_open();
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().text, HasSubstr("No such file or directory"));
}

TEST_F(SqliteStoreTest, RefusesAStoreOfANewerVersionAndLeavesItAsItIs) {
  fill();
  sql("PRAGMA user_version = " + std::to_string(kSchemaVersion + 1));
  const std::string before = read_file();
  expect_refusal(ErrorCode::kInvalid, "newer qkms");
  EXPECT_EQ(read_file(), before);
}

TEST_F(SqliteStoreTest, ReportsATruncatedFile) {
  fill();
  for (const std::uintmax_t size : {5000U, 4096U, 100U}) {
    std::filesystem::resize_file(file_, size);
    const Result<std::unique_ptr<SqliteStore>> store = try_open();
    EXPECT_TRUE(!store || !(*store)->load_all()) << size;
  }
}

TEST_F(SqliteStoreTest, IsOpenedByOneProcessAtATime) {
  const std::unique_ptr<SqliteStore> first = open();
  expect_refusal(ErrorCode::kClosed, "in use by process " + std::to_string(::getpid()));
  // Another process, with a lock table of its own.
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(try_open().has_value() ? 1 : 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(first->commit(sample_changes()), CommitOutcome::kDurable) << "the first is not disturbed";
}

TEST_F(SqliteStoreTest, NoticesAnotherMasterKey) {
  fill();
  expect_refusal(ErrorCode::kInvalid, "the master key do not fit", 2);
  EXPECT_TRUE(try_open(1));
}

// Threat T23: each of the sealed columns of two rows, changed for one another.
TEST_F(SqliteStoreTest, OpensNoRowThatWasSwapped) {
  struct Case {
    const char* table;
    const char* column;
    const char* key;
  };
  for (const Case& c : {Case{"extent_bits", "bits", "id"}, Case{"block", "bits", "number"},
                        Case{"assignment", "bits", "record"}, Case{"outbox", "message", "sequence"}}) {
    SCOPED_TRACE(c.table);
    start_anew();
    fill();
    const std::string table = c.table, column = c.column, key = c.key;
    sql("CREATE TEMP TABLE old AS SELECT " + key + " AS k, " + column + " AS v FROM " + table + "; UPDATE " + table +
        " SET " + column + " = (SELECT v FROM old WHERE k = 3 - " + table + "." + key + ")");
    const std::unique_ptr<SqliteStore> store = open();
    EXPECT_EQ(store->load_all()->unreadable + store->load(all_rows())->unreadable, 2U);
  }
}

TEST_F(SqliteStoreTest, OpensNoRowThatWasChanged) {
  struct Case {
    const char* name;
    const char* sql;
    std::uint64_t unreadable;
  };
  const Case cases[] = {
      {"a block under another ID", "UPDATE block SET block = zeroblob(16) WHERE number = 1", 1},
      {"a block made younger", "UPDATE block SET received_at = received_at + 1000", 2},
      {"bits of another peer", "UPDATE name SET text = 'KME-X' WHERE text = 'KME-B'", 2},
      {"a slave added", "UPDATE assignment SET slaves = slaves || char(10) || 'evil'", 2},
      {"another master", "UPDATE assignment SET master = 'evil'", 2},
      {"a longer life", "UPDATE assignment SET expires_at = expires_at + 1", 2},
      {"fetched undone", "UPDATE assignment SET fetched = zeroblob(4)", 2},
      {"another key size", "UPDATE assignment SET key_bytes = 8, key_count = 4", 2},
      {"off the ledger", "UPDATE assignment SET on_ledger = 0", 2},
      {"cut", "UPDATE extent_bits SET bits = substr(bits, 1, 20)", 2},
      {"emptied", "UPDATE extent_bits SET bits = zeroblob(0)", 2},
      {"a front put back", "UPDATE extent SET front = front + 8", 2},
      {"another owner", "UPDATE extent SET owner = 1", 2},
      {"an impossible front", "UPDATE extent SET front = 65", 2},
      {"an impossible owner", "UPDATE extent SET owner = 2", 2},
      {"a short ID key of a peer", "UPDATE peer SET peer_id_key = zeroblob(31)", 1},
      {"a message cut", "UPDATE outbox SET message = substr(message, 1, 20)", 2},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    start_anew();
    fill();
    sql(c.sql);
    const std::unique_ptr<SqliteStore> store = open();
    EXPECT_GE(store->load_all()->unreadable + store->load(all_rows())->unreadable, c.unreadable);
  }
}

TEST_F(SqliteStoreTest, DoesNotRunWithADamagedNodeRow) {
  // The last three: a store must not be able to look as if it had come less far, or further, than it has.
  for (const char* column : {"incarnation", "ordinal", "life", "progress"}) {
    begin_anew();
    fill();
    sql("UPDATE node SET " + std::string(column) + " = " + column + " - 1");
    const Result<kms::Snapshot> snapshot = open()->load_all();
    ASSERT_FALSE(snapshot) << column;
    EXPECT_EQ(snapshot.error().code, ErrorCode::kCorrupt) << column;
  }
}

// T25. Whoever puts an old file in place must not be able to make it look as if it knew of what came later.
TEST_F(SqliteStoreTest, KnowsNothingOfWhatAPeerWasToldWhenThatWasChanged) {
  for (const char* column : {"told_ordinal", "told_life", "told_progress"}) {
    begin_anew();
    fill();
    sql("UPDATE peer SET " + std::string(column) + " = " + column + " + 1");
    const Result<kms::Snapshot> snapshot = open()->load_all();
    ASSERT_TRUE(snapshot) << column;
    EXPECT_TRUE(snapshot->peers.empty()) << column;  // so nothing is known of what it was told
    EXPECT_GT(snapshot->unreadable, 0U) << column;
  }
}

// Threat T23, and invariant 9. Two stores of the same rows differ in nothing but their sealed columns, so a search for
// the clear bits is enough; the store is open, so that the WAL is searched too.
TEST_F(SqliteStoreTest, HasNoKeyBitInClearInAnyFile) {
  const std::string canary = "canary-canary-canary-canary-0001";
  const SecretBytes key_bits =
      SecretBytes::copy_of({reinterpret_cast<const std::uint8_t*>(canary.data()), canary.size()});
  Changes changes;
  changes.node = sample_node();
  changes.node->id_key = key_bits.slice(0, 32);
  changes.new_extents.emplace_back(sample_extent("KME-B", 1), key_bits.slice(0, 32));
  changes.new_blocks.push_back(sample_block("link", 1));
  changes.new_blocks.back().bits = key_bits.slice(0, 32);
  changes.put_assignments.push_back(sample_assignment("KME-B", 1));
  changes.put_assignments.back().bits = key_bits.slice(0, 32);
  api::Assign assign;
  assign.master = sae("m");
  assign.slaves = {sae("s")};
  assign.record = assign.key_count = 1;
  assign.key_bytes = 32;
  assign.life_ms = 5;
  assign.ranges = {{.extent = 1, .offset = 0, .size = 32}};
  assign.under_pad.assign(canary.begin(), canary.end());
  changes.new_outbox.push_back({kme("KME-B"), 1, assign});

  const auto expect_silence = [&] {
    int searched = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      std::ifstream in(entry.path(), std::ios::binary);
      const std::string content{std::istreambuf_iterator<char>(in), {}};
      EXPECT_EQ(content.find("canary"), std::string::npos) << entry.path();
      EXPECT_EQ(content.find("yranac"), std::string::npos) << entry.path();
      ++searched;
    }
    return searched;
  };
  std::unique_ptr<SqliteStore> store = open();
  ASSERT_EQ(store->commit(std::move(changes)), CommitOutcome::kDurable);
  EXPECT_GE(expect_silence(), 4) << "the file, its WAL, its lock and its keyring";
  store.reset();
  EXPECT_GE(expect_silence(), 3);
}

// What the promises of durability and erasure rest on, and no test can see from outside.
TEST_F(SqliteStoreTest, SetsTheConnectionUpForDurabilityAndErasure) {
  write_file("");
  const std::unique_ptr<Database> database = Database::open(file_).value();
  EXPECT_EQ(*prepare_schema(*database), 0);
  ASSERT_TRUE(create_tables(*database));
  EXPECT_EQ(*database->query_number("SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
  EXPECT_EQ(*database->query_number("PRAGMA synchronous"), 2);
  EXPECT_EQ(*database->query_number("PRAGMA secure_delete"), 1);
  EXPECT_EQ(*database->query_number("PRAGMA application_id"), kApplicationId);
  EXPECT_EQ(*database->query_number("PRAGMA user_version"), kSchemaVersion);
  EXPECT_EQ(*database->query_number("SELECT count(*) FROM sqlite_schema WHERE type = 'index'"), 0);
}

TEST_F(SqliteStoreTest, LeavesNothingOfDroppedBitsInTheFile) {
  fill();
  std::vector<std::string> sealed;
  {
    const std::unique_ptr<Database> database = Database::open(file_).value();
    Statement select(*database,
                     "SELECT bits FROM extent_bits UNION ALL SELECT bits FROM block UNION ALL "
                     "SELECT bits FROM assignment UNION ALL SELECT message FROM outbox");
    ASSERT_TRUE(select.for_each([&sealed](Statement& row) -> Result<bool> {
      sealed.emplace_back(row.blob(0).begin(), row.blob(0).end());
      return true;
    }));
  }
  ASSERT_EQ(sealed.size(), 8U);
  for (const std::string& blob : sealed) EXPECT_NE(read_file().find(blob.substr(5)), std::string::npos);
  Changes drop;
  for (const std::uint64_t id : {1, 2}) {
    drop.dropped_extents.push_back({kme("KME-B"), id});
    drop.dropped_blocks.emplace_back(link("link"), block(static_cast<std::uint32_t>(id)));
    drop.dropped_assignments.push_back({kme("KME-B"), id});
  }
  drop.cleared_outboxes = {kme("KME-B")};
  ASSERT_EQ(open()->commit(std::move(drop)), CommitOutcome::kDurable);
  for (const std::string& blob : sealed) EXPECT_EQ(read_file().find(blob.substr(5)), std::string::npos);
}

}  // namespace
}  // namespace qkms::storage
