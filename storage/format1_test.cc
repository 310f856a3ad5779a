// A store that format 1 left behind becomes one of today's: all rows, in one transaction, with a copy kept.
// The writer below is what qkms had when format 1 was current, frozen: SQL, and the sealing of rows under a data key
// that the master key gives.
#include "storage/format1.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ctime>
#include <fstream>

#include "api/peer/codec.h"
#include "storage/big_endian.h"
#include "storage/kill_at_syscall.h"
#include "storage/os.h"
#include "storage/sqlite_schema.h"
#include "storage/store_bench.h"

namespace qkms::storage {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kTablesOfFormat1 = R"sql(
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE data_key (
  id INTEGER PRIMARY KEY, salt BLOB NOT NULL, created INTEGER NOT NULL, proof BLOB NOT NULL) STRICT;
CREATE TABLE name (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE node (
  one INTEGER PRIMARY KEY CHECK (one = 1), self TEXT NOT NULL, incarnation INTEGER NOT NULL, id_key BLOB NOT NULL,
  record_limit INTEGER NOT NULL, time INTEGER NOT NULL) STRICT;
CREATE TABLE peer (
  peer INTEGER PRIMARY KEY, pair_epoch INTEGER NOT NULL, peer_incarnation INTEGER NOT NULL, sent INTEGER NOT NULL,
  acknowledged INTEGER NOT NULL, received INTEGER NOT NULL, peer_id_key BLOB NOT NULL, next_extent INTEGER NOT NULL,
  last_record INTEGER NOT NULL, bits_in INTEGER NOT NULL, macs INTEGER NOT NULL, quarantined INTEGER NOT NULL, in_flight INTEGER NOT NULL,
  held INTEGER NOT NULL, delivered INTEGER NOT NULL, pads INTEGER NOT NULL, burned INTEGER NOT NULL,
  expired INTEGER NOT NULL) STRICT;
CREATE TABLE extent (
  peer INTEGER NOT NULL, id INTEGER NOT NULL, owner INTEGER NOT NULL, size INTEGER NOT NULL, front INTEGER NOT NULL,
  seal BLOB NOT NULL, PRIMARY KEY (peer, id)) STRICT, WITHOUT ROWID;
CREATE TABLE extent_bits (
  peer INTEGER NOT NULL, id INTEGER NOT NULL, bits BLOB NOT NULL, PRIMARY KEY (peer, id)) STRICT, WITHOUT ROWID;
CREATE TABLE block (
  number INTEGER PRIMARY KEY, link INTEGER NOT NULL, block BLOB NOT NULL, received_at INTEGER NOT NULL,
  bits BLOB NOT NULL) STRICT;
CREATE TABLE seen_block (
  link INTEGER NOT NULL, position INTEGER NOT NULL, block BLOB NOT NULL,
  PRIMARY KEY (link, position)) STRICT, WITHOUT ROWID;
CREATE TABLE assignment (
  issuer INTEGER NOT NULL, record INTEGER NOT NULL, master TEXT NOT NULL, slaves TEXT NOT NULL,
  key_count INTEGER NOT NULL, key_bytes INTEGER NOT NULL, expires_at INTEGER NOT NULL, on_ledger INTEGER NOT NULL,
  fetched BLOB NOT NULL, bits BLOB NOT NULL, PRIMARY KEY (issuer, record)) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
  peer INTEGER NOT NULL, sequence INTEGER NOT NULL, message BLOB NOT NULL,
  PRIMARY KEY (peer, sequence)) STRICT, WITHOUT ROWID;
PRAGMA application_id = 1902865779;
PRAGMA user_version = 1;
INSERT INTO name VALUES (1, 'KME-B'), (2, 'link');
COMMIT;
)sql";

class Format1Writer {
 public:
  Format1Writer(const std::filesystem::path& file, const SecretBytes& master_key) {
    std::ofstream(file).flush();
    database_ = Database::open(file).value();
    EXPECT_TRUE(database_->execute(kTablesOfFormat1));
    EXPECT_TRUE(fill_random(salt_));
    const SecretBytes key = derive_key(master_key, salt_, "qkms store data key 1").value();
    sealing_.emplace(Aead::make(key, Aead::Direction::kSeal).value());
    const std::int64_t created = std::time(nullptr);
    AssociatedData proof("data_key");
    proof.number(1).number(static_cast<std::uint64_t>(created));
    run("INSERT INTO data_key VALUES (1, ?, ?, ?)", Bytes(salt_), created, Bytes(seal(proof, {})));
  }

  void write(const kms::NodeRow& row) {
    AssociatedData place("node.id_key");
    place.text(row.self.str()).number(row.incarnation);
    run("INSERT INTO node VALUES (1, ?, ?, ?, ?, ?)", std::string_view(row.self.str()), row.incarnation,
        Bytes(seal(place, row.id_key.reveal())), row.record_limit, row.time);
  }
  void write(const kms::PeerRow& row) {
    const kms::Ledger& l = row.ledger;
    run("INSERT INTO peer VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row.pair_epoch,
        row.peer_incarnation, row.sent, row.acknowledged, row.received, Bytes(row.peer_id_key), row.next_extent,
        row.last_record, l.in, l.macs, l.quarantined, l.in_flight, l.held, l.delivered, l.pads, l.burned, l.expired);
  }
  void write(const kms::ExtentRow& row, const SecretBytes& bits) {
    AssociatedData place("extent"), place_of_bits("extent_bits");
    place.text("KME-B").number(row.id).number(0).number(row.size).number(row.front);
    place_of_bits.text("KME-B").number(row.id);
    run("INSERT INTO extent VALUES (1, ?, 0, ?, ?, ?)", row.id, row.size, row.front, Bytes(seal(place, {})));
    run("INSERT INTO extent_bits VALUES (1, ?, ?)", row.id, Bytes(seal(place_of_bits, bits.reveal())));
  }
  void write(const kms::BlockRow& row) {
    AssociatedData place("block");
    place.text("link").bytes(row.block.bytes()).number(static_cast<std::uint64_t>(row.received_at));
    run("INSERT INTO block VALUES (NULL, 2, ?, ?, ?)", Bytes(row.block.bytes()), row.received_at,
        Bytes(seal(place, row.bits.reveal())));
  }
  void write(const kms::Assignment& row) {
    constexpr std::string_view slaves = "CN=slave, O=1\nslave 2";
    constexpr std::array<std::uint8_t, 4> fetched{0x80, 1, 0, 2};
    AssociatedData place("assignment");
    place.text("KME-B").number(row.record).text("master").text(slaves).number(2).number(16);
    place.number(static_cast<std::uint64_t>(row.expires_at)).number(1).bytes(fetched);
    run("INSERT INTO assignment VALUES (1, ?, 'master', ?, 2, 16, ?, 1, ?, ?)", row.record, slaves, row.expires_at,
        Bytes(fetched), Bytes(seal(place, row.bits.reveal())));
  }
  void write(const kms::OutboxRow& row) {
    AssociatedData place("outbox");
    place.text("KME-B").number(row.sequence);
    const std::string message = api::encode_message(row.message);
    run("INSERT INTO outbox VALUES (1, ?, ?)", row.sequence,
        Bytes(seal(place, {reinterpret_cast<const std::uint8_t*>(message.data()), message.size()})));
  }
  void write(const BlockId& seen, std::int64_t position) {
    run("INSERT INTO seen_block VALUES (2, ?, ?)", position, Bytes(seen.bytes()));
  }

 private:
  Sealed seal(const AssociatedData& place, Bytes clear) {
    Sealed sealed{1};
    append_big_endian(sealed, std::uint32_t{1});
    append_big_endian(sealed, std::uint32_t{0});
    append_big_endian(sealed, next_nonce_++);
    sealed.resize(17 + clear.size() + kTagBytes);
    EXPECT_TRUE(sealing_->seal(Bytes(sealed).subspan(5, 12), place.view(), clear, sealed.data() + 17,
                               sealed.data() + 17 + clear.size()));
    return sealed;
  }
  template <class... Values>
  void run(const char* sql, const Values&... values) {
    const Result<void> done = Statement(*database_, sql).run(values...);
    EXPECT_TRUE(done) << done.error().text;
  }

  std::unique_ptr<Database> database_;
  std::array<std::uint8_t, 32> salt_{};
  std::optional<Aead> sealing_;
  std::uint64_t next_nonce_ = 0;
};

// Format 1 knew no lives and no marks (kms/life.h).
kms::NodeRow node_of_then() {
  kms::NodeRow node = sample_node();
  node.mark_key.clear();
  node.ordinal = node.life = node.progress = 0;
  node.restored = false;
  return node;
}

kms::PeerRow peer_of_then() {
  kms::PeerRow peer = sample_peer("KME-B");
  peer.told = {};
  peer.heard = {};
  return peer;
}

// The same rows through a store of today.
kms::Changes same_rows() {
  kms::Changes changes;
  changes.node = node_of_then();
  changes.put_peers = {peer_of_then()};
  for (const std::uint64_t id : {1, 2, 3}) {
    changes.new_extents.emplace_back(sample_extent("KME-B", id, 8), bits(64, static_cast<std::uint8_t>(id)));
    changes.new_blocks.push_back(sample_block("link", static_cast<std::uint32_t>(id)));
    changes.seen_blocks.push_back({link("link"), block(static_cast<std::uint32_t>(id))});
    changes.put_assignments.push_back(sample_assignment("KME-B", id));
    changes.new_outbox.push_back({kme("KME-B"), id, api::Void{.record = id}});
  }
  return changes;
}

void write_format1(const std::filesystem::path& file) {
  const SecretBytes master_key = bits(32, 1);
  Format1Writer writer(file, master_key);
  writer.write(node_of_then());
  writer.write(peer_of_then());
  for (const std::uint64_t id : {1, 2, 3}) {
    writer.write(sample_extent("KME-B", id, 8), bits(64, static_cast<std::uint8_t>(id)));
    writer.write(sample_block("link", static_cast<std::uint32_t>(id)));
    writer.write(block(static_cast<std::uint32_t>(id)), static_cast<std::int64_t>(id));
    writer.write(sample_assignment("KME-B", id));
    writer.write(kms::OutboxRow{kme("KME-B"), id, api::Void{.record = id}});
  }
}

std::string all_of(kms::Store& store) {
  kms::Needs needs;
  for (const std::uint64_t id : {1, 2, 3}) {
    needs.extent_bits.insert({kme("KME-B"), id});
    needs.assignments.insert({kme("KME-B"), id});
  }
  return describe(store.load_all().value()) + describe(store.load(needs).value());
}

class Format1Test : public testing::Test {
 protected:
  Format1Test() {
    MemoryStore memory;
    EXPECT_EQ(memory.commit(same_rows()), kms::CommitOutcome::kDurable);
    expected_ = all_of(memory);
  }
  std::unique_ptr<SqliteStore> open() {
    auto store = SqliteStore::open(file_, bits(32, 1));
    EXPECT_TRUE(store) << store.error().text;
    return std::move(store.value());
  }
  void sql(const std::string& text) {
    const Result<void> done = Database::open(file_).value()->execute(text.c_str());
    ASSERT_TRUE(done) << done.error().text;
  }

  ScratchFolder folder_;
  std::filesystem::path file_ = folder_.path() / "store";
  std::string expected_;
};

TEST_F(Format1Test, BecomesAStoreOfTodayWithAllItsRows) {
  write_format1(file_);
  EXPECT_EQ(all_of(*open()), expected_);
  const auto again = open();
  EXPECT_EQ(all_of(*again), expected_) << "and stays it";
  EXPECT_THAT(again->quarantined(), IsEmpty());
}

// What remains of format 1 opens with the master key alone: nothing of it must stay in the store itself.
TEST_F(Format1Test, LeavesNothingOfItBehindButTheCopy) {
  write_format1(file_);
  std::string salt;
  {
    const auto database = Database::open(file_).value();
    ASSERT_TRUE(Statement(*database, "SELECT salt FROM data_key").for_each([&salt](Statement& row) -> Result<bool> {
      salt.assign(row.blob(0).begin(), row.blob(0).end());
      return true;
    }));
  }
  const auto store = open();
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(in), {}};
    if (content.find(salt) == std::string::npos) continue;
    EXPECT_EQ(entry.path(), file_.string() + ".v1");
    ++found;
  }
  EXPECT_EQ(found, 1);
}

TEST_F(Format1Test, KeepsACopyThatIsAWholeStore) {
  write_format1(file_);
  open();
  const std::filesystem::path copy = file_.string() + ".v1";
  struct stat status{};
  ASSERT_EQ(::stat(copy.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  EXPECT_EQ(Database::open(copy).value()->query_number("PRAGMA user_version"), 1);
  std::filesystem::rename(copy, file_);
  std::filesystem::remove(keyring_beside(file_));
  EXPECT_EQ(all_of(*open()), expected_);
}

TEST_F(Format1Test, LeavesDamagedRowsBehind) {
  write_format1(file_);
  sql("UPDATE assignment SET expires_at = 5 WHERE record = 1; UPDATE peer SET peer_id_key = zeroblob(31)");
  const auto store = open();
  EXPECT_EQ(store->load_all()->unreadable, 2U);
  EXPECT_THAT(store->load_all()->peers, IsEmpty());
  EXPECT_THAT(store->load_all()->extents, SizeIs(3));
}

TEST_F(Format1Test, NeedsItsMasterKeyAndIsLeftAsItWasWithoutIt) {
  write_format1(file_);
  const auto store = SqliteStore::open(file_, bits(32, 2));
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(store.error().text, HasSubstr("the master key does not fit"));
  EXPECT_EQ(all_of(*open()), expected_);
}

TEST_F(Format1Test, DoesNotBecomeAnythingWithADamagedNodeRow) {
  write_format1(file_);
  sql("UPDATE node SET incarnation = 7");
  EXPECT_FALSE(SqliteStore::open(file_, bits(32, 1)));
  EXPECT_EQ(Database::open(file_).value()->query_number("PRAGMA user_version"), 1);
}

TEST_F(Format1Test, BeginsAgainOrIsDoneAfterAKillAtEachStep) {
  const std::filesystem::path model = folder_.path() / "model";
  std::filesystem::create_directory(model);
  write_format1(model / "store");
  int kills = 0;
  for (int nth = 1;; ++nth) {
    SCOPED_TRACE("killed before change " + std::to_string(nth));
    const std::filesystem::path run = folder_.path() / "run";
    std::filesystem::remove_all(run);
    std::filesystem::copy(model, run);
    file_ = run / "store";
    const Killed killed = kill_at_syscall(nth, [this] { return SqliteStore::open(file_, bits(32, 1)) ? 0 : 2; });
    ASSERT_NE(killed, Killed::kNotPossible) << "this test needs ptrace";
    const auto store = open();
    ASSERT_EQ(all_of(*store), expected_);
    ASSERT_TRUE(std::filesystem::exists(file_.string() + ".v1"));
    if (killed == Killed::kNot) break;
    ++kills;
  }
  EXPECT_GT(kills, 30);
  RecordProperty("kills", kills);
}

}  // namespace
}  // namespace qkms::storage
