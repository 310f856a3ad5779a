// The life of epochs: what a copy of the store opens after its rows have gone (threat T23), that no key meets a nonce
// twice (threat T24), and that a crash at any step leaves a store that opens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "storage/kill_at_syscall.h"
#include "storage/sealed_walk.h"
#include "storage/store_bench.h"

namespace qkms::storage {
namespace {

using kms::Changes;
using kms::CommitOutcome;
using testing::IsEmpty;
using testing::SizeIs;

// An epoch per commit.
const EpochSettings kShort{.life = std::chrono::seconds(0)};

Changes rows(std::uint64_t id) {
  Changes changes;
  changes.new_extents.emplace_back(sample_extent("KME-B", id), bits(64, static_cast<std::uint8_t>(id)));
  changes.put_assignments.push_back(sample_assignment("KME-B", id));
  changes.new_outbox.push_back({kme("KME-B"), id, api::Void{.record = id}});
  changes.new_blocks.push_back(sample_block("link", static_cast<std::uint32_t>(id)));
  return changes;
}

void drop_rows(Changes& changes, std::uint64_t id) {
  changes.dropped_extents.push_back({kme("KME-B"), id});
  changes.dropped_assignments.push_back({kme("KME-B"), id});
  changes.acknowledged_outbox.emplace_back(kme("KME-B"), id);
  changes.dropped_blocks.emplace_back(link("link"), block(static_cast<std::uint32_t>(id)));
}

class StoreEpochs : public testing::Test {
 protected:
  std::unique_ptr<SqliteStore> open(const EpochSettings& epochs = {}) {
    auto store = SqliteStore::open(file_, bits(32, 1), {.keyring = ring_, .epochs = epochs});
    EXPECT_TRUE(store) << store.error().text;
    return std::move(store.value());
  }
  static void commit(kms::Store& store, Changes changes) {
    ASSERT_EQ(store.commit(std::move(changes)), CommitOutcome::kDurable);
  }
  std::set<EpochId> epochs_in_the_file() const { return Keyring::read(ring_, bits(32, 1)).value()->epochs(); }

  // How many rows of a store open with the keyring that is there now, by table.
  std::map<std::string, int> rows_that_open(const std::filesystem::path& store) const {
    const auto ring = Keyring::read(ring_, bits(32, 1)).value();
    Sealer sealer(*ring);
    const std::unique_ptr<Database> database = Database::open(store).value();
    Names names(*database);
    EXPECT_TRUE(names.load());
    std::map<std::string, int> opened;
    for (const SealedColumn* column : kSealedColumns) {
      SealedWalk walk(*database, names, *column);
      const std::vector<SealedRow> found = walk.next(100'000).value();
      for (const SealedRow& row : found) {
        if (sealer.open(row.place.value(), row.blob)) ++opened[column->table];
      }
    }
    return opened;
  }

  ScratchFolder folder_;
  std::filesystem::path file_ = folder_.path() / "store", ring_ = folder_.path() / "apart.keyring";
  std::filesystem::path copy_ = folder_.path() / "copy";
};

// Threat T23: a stolen or old copy, with today's master key and today's keyring.
TEST_F(StoreEpochs, LetACopyShowOnlyWhatIsStillThere) {
  {
    const auto store = open(kShort);
    Changes first;
    first.node = sample_node();
    commit(*store, std::move(first));
    for (std::uint64_t id = 1; id <= 10; ++id) commit(*store, rows(id));
  }
  std::filesystem::copy_file(file_, copy_);
  const std::map<std::string, int> all{{"node", 1},   {"extent", 10},     {"extent_bits", 10},
                                       {"block", 10}, {"assignment", 10}, {"outbox", 10}};
  EXPECT_EQ(rows_that_open(copy_), all);
  {
    const auto store = open(kShort);
    Changes gone;
    for (std::uint64_t id = 1; id <= 7; ++id) drop_rows(gone, id);
    commit(*store, std::move(gone));
    const std::map<std::string, int> three{{"node", 1},  {"extent", 3},     {"extent_bits", 3},
                                           {"block", 3}, {"assignment", 3}, {"outbox", 3}};
    EXPECT_EQ(rows_that_open(copy_), three) << "as soon as the commit is durable";
  }
  // In the place of the store, it serves no more than that either.
  std::filesystem::rename(copy_, file_);
  const auto store = open();
  EXPECT_TRUE(store->is_behind_keyring());
  const kms::Snapshot snapshot = store->load_all().value();
  EXPECT_THAT(snapshot.extents, SizeIs(3));
  EXPECT_THAT(snapshot.outbox, SizeIs(3));
  EXPECT_THAT(snapshot.blocks, SizeIs(3));
  kms::Needs needs;
  for (std::uint64_t id = 1; id <= 10; ++id) needs.assignments.insert({kme("KME-B"), id});
  EXPECT_THAT(store->load(needs)->assignments, SizeIs(3));
}

TEST_F(StoreEpochs, LoseTheirKeyWithTheirLastRowAndNotBefore) {
  auto store = open();  // epoch 1
  for (std::uint64_t id = 1; id <= 2; ++id) commit(*store, rows(id));
  Changes first, second;
  drop_rows(first, 1);
  drop_rows(second, 2);
  second.put_assignments.push_back(sample_assignment("KME-B", 9));
  store.reset();
  {
    const auto later = open();  // epoch 2
    EXPECT_EQ(epochs_in_the_file(), (std::set<EpochId>{1, 2}));
    commit(*later, std::move(first));
    EXPECT_EQ(epochs_in_the_file(), (std::set<EpochId>{1, 2}));
    commit(*later, std::move(second));
    EXPECT_EQ(epochs_in_the_file(), (std::set<EpochId>{2}));
  }
  const auto last = open();
  EXPECT_EQ(epochs_in_the_file(), (std::set<EpochId>{2, 3}));
}

TEST_F(StoreEpochs, ChangeWithTheBytesThatWereSealed) {
  const auto store = open({.bytes = 1000});
  for (std::uint64_t id = 1; id <= 20; ++id) commit(*store, rows(id));  // more than 200 bytes each
  EXPECT_GE(epochs_in_the_file().size(), 4U);
  EXPECT_LT(epochs_in_the_file().size(), 10U);
}

TEST_F(StoreEpochs, DoNotLastAsLongAsARowThatLivesLong) {
  EpochSettings settings = kShort;
  settings.reseal_after = 3;
  auto store = open(settings);
  Changes lasting = rows(1);
  lasting.put_peers.push_back(sample_peer("KME-B"));
  commit(*store, std::move(lasting));
  const EpochId then = *epochs_in_the_file().rbegin();
  for (int i = 0; i < 40; ++i) commit(*store, {});
  EXPECT_FALSE(epochs_in_the_file().contains(then));
  EXPECT_LT(epochs_in_the_file().size(), 15U);
  EXPECT_THAT(store->load_all()->extents, SizeIs(1));
  EXPECT_THAT(store->load_all()->peers, SizeIs(1));
  store.reset();
  const auto again = open();
  EXPECT_THAT(again->quarantined(), IsEmpty());
  EXPECT_EQ(again->load_all()->unreadable, 0U);
  EXPECT_TRUE(again->load({.extent_bits = {{kme("KME-B"), 1}}, .assignments = {}, .expired_at = {}})
                  ->extent_bits.at({kme("KME-B"), 1})
                  .equals(bits(64, 1)));
}

// A row that does not open would hold its epoch for ever.
TEST_F(StoreEpochs, DoNotLastAsLongAsADamagedRow) {
  commit(*open(), rows(1));
  {
    const auto database = Database::open(file_).value();
    ASSERT_TRUE(database->execute("UPDATE assignment SET expires_at = expires_at + 1"));
  }
  EpochSettings settings = kShort;
  settings.reseal_after = 3;
  const auto store = open(settings);
  for (int i = 0; i < 40; ++i) commit(*store, {});
  EXPECT_FALSE(epochs_in_the_file().contains(1));
  EXPECT_EQ(store->load({.extent_bits = {}, .assignments = {{kme("KME-B"), 1}}, .expired_at = {}})->unreadable, 0U);
}

TEST_F(StoreEpochs, GoOnUnderTheOldKeyWhileTheKeyringCannotBeWritten) {
  const auto store = open(kShort);
  commit(*store, rows(1));
  const std::set<EpochId> before = epochs_in_the_file();
  std::filesystem::path aside = ring_;
  aside += ".new";
  std::filesystem::create_directory(aside);
  Changes changes = rows(2);
  drop_rows(changes, 1);
  commit(*store, std::move(changes));
  EXPECT_EQ(epochs_in_the_file(), before);
  std::filesystem::remove(aside);
  commit(*store, rows(3));
  EXPECT_FALSE(epochs_in_the_file().contains(1));
  EXPECT_GT(*epochs_in_the_file().rbegin(), *before.rbegin());
}

TEST_F(StoreEpochs, CountNothingOfACommitThatFailed) {
  {
    const auto store = open();
    commit(*store, rows(1));
    Changes conflict = rows(2);
    conflict.new_extents.emplace_back(sample_extent("KME-B", 1), bits(64, 1));
    conflict.dropped_assignments = {{kme("KME-B"), 1}};
    EXPECT_EQ(store->commit(std::move(conflict)), CommitOutcome::kFailed);
    commit(*store, rows(3));
  }
  EXPECT_THAT(open()->quarantined(), IsEmpty());
}

// Threat T24: the folder is put back to what it was, keyring and all, and goes on; and again.
TEST_F(StoreEpochs, NeverRepeatAKeyAndNoncePairAfterARestore) {
  const auto write = [this](std::uint64_t first) {
    const auto store = open();
    for (std::uint64_t batch = 0; batch < 10; ++batch) {
      Changes changes;
      changes.node = sample_node();
      changes.put_peers.push_back(sample_peer("KME-B", batch));
      for (std::uint64_t i = 0; i < 1000; ++i) {
        changes.put_assignments.push_back(sample_assignment("KME-B", first + 1000 * batch + i));
      }
      commit(*store, std::move(changes));
    }
  };
  using Pair = std::pair<Sealed, Sealed>;  // (key; or salt of a lasting key, with the root key understood), nonce
  std::set<Pair> pairs;
  std::set<Sealed> seen;
  const auto collect = [&] {
    const auto ring = Keyring::read(ring_, bits(32, 1)).value();
    const auto database = Database::open(file_).value();
    for (const char* select : {"SELECT bits FROM assignment", "SELECT secrets FROM node", "SELECT seal FROM peer",
                               "SELECT seal FROM head"}) {
      ASSERT_TRUE(Statement(*database, select).for_each([&](Statement& row) -> Result<bool> {
        const Sealed blob(row.blob(0).begin(), row.blob(0).end());
        if (!seen.insert(blob).second) return true;
        const SecretBytes* const key = ring->key_of(epoch_of(blob));
        EXPECT_TRUE(key != nullptr || epoch_of(blob) == 0);
        Sealed under = key != nullptr ? Sealed(key->reveal().begin(), key->reveal().end())
                                      : Sealed(blob.begin() + kSealHeaderBytes, blob.begin() + kSealHeaderBytes + 32);
        EXPECT_TRUE(pairs.emplace(std::move(under), Sealed(blob.begin() + 5, blob.begin() + 17)).second);
        return true;
      }));
    }
  };
  write(1);
  collect();
  std::filesystem::copy_file(file_, copy_);
  const std::filesystem::path ring_copy = folder_.path() / "ring copy";
  std::filesystem::copy_file(ring_, ring_copy);
  for (int restore = 0; restore < 2; ++restore) {
    write(100'001);
    collect();
    std::filesystem::copy_file(copy_, file_, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::copy_file(ring_copy, ring_, std::filesystem::copy_options::overwrite_existing);
  }
  EXPECT_GE(pairs.size(), 30'000U);
}

// --- crashes
// ----------------------------------------------------------------------------------------------------------------------

// Opens, begins an epoch with each commit, lets the rows of an old epoch go, and thereby destroys its key.
int live_through_epochs(const std::filesystem::path& file) {
  auto store = SqliteStore::open(file, bits(32, 1), {.keyring = {}, .epochs = kShort});
  if (!store) return 2;
  for (const std::uint64_t id : {5, 6}) {
    Changes changes = rows(id);
    changes.node = sample_node();
    changes.node->record_limit = id;
    drop_rows(changes, id - 4);
    if ((*store)->commit(std::move(changes)) != CommitOutcome::kDurable) return 3;
  }
  return 0;
}

// Of a store that is closed: no key is there without rows, but the one of its last opening.
void expect_no_spare_keys(const std::filesystem::path& file) {
  std::set<EpochId> keys = Keyring::read(keyring_beside(file), bits(32, 1)).value()->epochs();
  keys.erase(*keys.rbegin());
  const std::unique_ptr<Database> database = Database::open(file).value();
  Names names(*database);
  for (const SealedColumn* column : kSealedColumns) {
    const std::vector<SealedRow> rows = SealedWalk(*database, names, *column).next(1000).value();
    for (const SealedRow& row : rows) keys.erase(epoch_of(row.blob));
  }
  EXPECT_THAT(keys, IsEmpty());
}

void expect_whole_store(const std::filesystem::path& file) {
  const auto store = SqliteStore::open(file, bits(32, 1));
  ASSERT_TRUE(store) << store.error().text;
  EXPECT_THAT((*store)->quarantined(), IsEmpty());
  const kms::Snapshot snapshot = (*store)->load_all().value();
  EXPECT_EQ(snapshot.unreadable, 0U);
  const std::uint64_t last = snapshot.node.record_limit;
  ASSERT_TRUE(last >= 4 && last <= 6) << last;
  EXPECT_THAT(snapshot.extents, SizeIs(4));
  kms::Needs needs;
  for (std::uint64_t id = last - 3; id <= last; ++id) {
    needs.extent_bits.insert({kme("KME-B"), id});
    needs.assignments.insert({kme("KME-B"), id});
  }
  EXPECT_THAT((*store)->load(needs)->extent_bits, SizeIs(4));
  EXPECT_THAT((*store)->load(needs)->assignments, SizeIs(4));
}

TEST_F(StoreEpochs, SurviveAKillAtEachStep) {
  const std::filesystem::path model = folder_.path() / "model";
  std::filesystem::create_directory(model);
  {
    auto store = SqliteStore::open(model / "store", bits(32, 1), {.keyring = {}, .epochs = kShort}).value();
    for (const std::uint64_t id : {1, 2, 3, 4}) {
      Changes changes = rows(id);
      changes.node = sample_node();
      changes.node->record_limit = id;
      commit(*store, std::move(changes));
    }
  }
  int kills = 0;
  for (int nth = 1;; ++nth) {
    SCOPED_TRACE("killed before change " + std::to_string(nth));
    const std::filesystem::path run = folder_.path() / "run";
    std::filesystem::remove_all(run);
    std::filesystem::copy(model, run);
    const Killed killed = kill_at_syscall(nth, [&run] { return live_through_epochs(run / "store"); });
    ASSERT_NE(killed, Killed::kNotPossible) << "this test needs ptrace";
    expect_whole_store(run / "store");
    expect_no_spare_keys(run / "store");
    if (killed == Killed::kNot || HasFailure()) break;
    ++kills;
  }
  EXPECT_GT(kills, 40);
  RecordProperty("kills", kills);
}

// A new store: until its first commit is durable, it begins again with the same keyring.
TEST_F(StoreEpochs, BeginAnewAfterAKillWhileAStoreIsMade) {
  int kills = 0;
  for (int nth = 1;; ++nth) {
    SCOPED_TRACE("killed before change " + std::to_string(nth));
    const std::filesystem::path run = folder_.path() / "run";
    std::filesystem::remove_all(run);
    std::filesystem::create_directory(run);
    const auto make = [&run] { return SqliteStore::open(run / "store", bits(32, 1)) ? 0 : 2; };
    const Killed killed = kill_at_syscall(nth, make);
    ASSERT_NE(killed, Killed::kNotPossible) << "this test needs ptrace";
    ASSERT_EQ(make(), 0);
    if (killed == Killed::kNot) break;
    ++kills;
  }
  EXPECT_GT(kills, 15);
  RecordProperty("kills", kills);
}

}  // namespace
}  // namespace qkms::storage
