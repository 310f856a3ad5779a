// What is wrong with the files of a store, before it is opened or while it is open: it is found, named, and no key goes
// out that is not the right one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <random>

#include "storage/scratch_folder.h"
#include "storage/store_samples.h"
#include "storage/testing/history.h"
#include "storage/testing/witness.h"

namespace qkms::storage {
namespace {

using kms::CommitOutcome;
using testing::HasSubstr;

constexpr std::uint64_t kCommits = 9;

std::string read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::filesystem::path& file, std::string_view bytes) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

class SqliteDamage : public testing::Test {
 protected:
  // A process that ends without closing: all of it is in the log, or the first commits are in the file.
  void leave(std::uint32_t checkpoint_from) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto store = open_history(file_).value();
      store->checkpoint_from(checkpoint_from);
      for (std::uint64_t i = 1; i <= kCommits; ++i) {
        if (store->commit(history_commit(i)) != CommitOutcome::kDurable) ::_exit(1);
      }
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
  }
  void leave_closed() {
    auto store = open_history(file_).value();
    for (std::uint64_t i = 1; i <= kCommits; ++i) ASSERT_EQ(store->commit(history_commit(i)), CommitOutcome::kDurable);
  }

  void expect_refusal(ErrorCode code, const std::string& words) {
    const auto store = open_history(file_);
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code, code) << store.error().text;
    EXPECT_THAT(store.error().text, HasSubstr(words));
    EXPECT_THAT(store.error().text, HasSubstr(file_.string()));
  }

  // Refused, or every bit of key that it gives is the right one.
  void expect_nothing_wrong_served() {
    const auto store = open_history(file_);
    if (!store) return;
    const auto snapshot = (*store)->load_all();
    if (!snapshot) return;
    kms::Needs needs;
    for (std::uint64_t i = 1; i <= kCommits; ++i) {
      needs.extent_bits.insert({kme("KME-B"), i});
      needs.assignments.insert({kme("KME-B"), i});
    }
    const auto loaded = (*store)->load(needs);
    if (!loaded) return;
    for (const auto& [key, found] : loaded->extent_bits) {
      EXPECT_TRUE(found.equals(bits(64, static_cast<std::uint8_t>(key.id)))) << "extent " << key.id;
    }
    for (const auto& [id, row] : loaded->assignments) {
      EXPECT_TRUE(row.bits.equals(bits(32, static_cast<std::uint8_t>(id.record)))) << "assignment " << id.record;
    }
  }

  ScratchFolder folder_{fast_disk()};
  const std::filesystem::path file_ = folder_.path() / "store", log_ = folder_.path() / "store-wal";
};

// --- before it is opened

TEST_F(SqliteDamage, RefusesALogWithoutItsStore) {
  leave(kCheckpointPages);
  std::filesystem::remove(file_);
  const std::string log = read_file(log_);
  expect_refusal(ErrorCode::kCorrupt, "write-ahead log");
  write_file(file_, "");
  expect_refusal(ErrorCode::kCorrupt, "write-ahead log");
  EXPECT_EQ(read_file(log_), log) << "whoever finds the store again needs it";
}

TEST_F(SqliteDamage, FindsAPrefixInALogThatIsCutAnywhere) {
  leave(kCheckpointPages);
  const auto keyring_file = keyring_beside(file_);
  const std::string store = read_file(file_), log = read_file(log_), keyring = read_file(keyring_file);
  std::uint64_t last = 0;
  for (std::size_t size = log.size() / 4; size < log.size(); size += 1031) {
    write_file(file_, store);
    write_file(log_, std::string_view(log).substr(0, size));
    write_file(keyring_file, keyring);  // each opening destroys keys
    auto opened = open_history(file_);
    ASSERT_TRUE(opened) << size << ": " << opened.error().text;
    const auto found = read_history(**opened);
    ASSERT_TRUE(found) << size << ": " << found.error();
    EXPECT_GE(*found, last) << size;
    last = *found;
  }
  EXPECT_GT(last, 0U);
}

TEST_F(SqliteDamage, ServesNothingWrongFromAFileThatIsCutAnywhere) {
  leave_closed();
  const std::string store = read_file(file_);
  for (std::size_t size = 0; size < store.size(); size += 509) {
    SCOPED_TRACE(size);
    write_file(file_, std::string_view(store).substr(0, size));
    expect_nothing_wrong_served();
  }
}

TEST_F(SqliteDamage, ServesNothingWrongWhicheverBitOfItsFilesFlips) {
  const std::uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  leave(40);
  const std::string store = read_file(file_), log = read_file(log_);
  ASSERT_GT(store.size(), 20000U);
  for (int i = 0; i < 400; ++i) {
    std::string damaged_store = store, damaged_log = log;
    std::string& damaged = i % 4 == 0 ? damaged_log : damaged_store;
    const std::size_t at = random() % damaged.size();
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
    write_file(file_, damaged_store);
    write_file(log_, damaged_log);
    SCOPED_TRACE(at);
    expect_nothing_wrong_served();
  }
}

TEST_F(SqliteDamage, RefusesAHeaderOfGarbage) {
  leave_closed();
  std::string store = read_file(file_);
  std::ranges::fill(store.begin(), store.begin() + 100, '\x5a');
  write_file(file_, store);
  expect_refusal(ErrorCode::kCorrupt, "not a database");
  EXPECT_EQ(read_file(file_), store);
}

TEST_F(SqliteDamage, RefusesAStoreThatAnotherProcessHasLocked) {
  leave_closed();
  int to_child[2], to_us[2];
  ASSERT_EQ(::pipe(to_child), 0);
  ASSERT_EQ(::pipe(to_us), 0);
  const pid_t child = ::fork();
  if (child == 0) {  // as an operator's sqlite3 shell
    auto database = Database::open(file_).value();
    const bool locked = database->execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").has_value();
    char byte = locked ? 'y' : 'n';
    if (::write(to_us[1], &byte, 1) != 1 || ::read(to_child[0], &byte, 1) != 1) ::_exit(1);
    ::_exit(0);
  }
  char byte = 'n';
  ASSERT_EQ(::read(to_us[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  expect_refusal(ErrorCode::kClosed, "locked");
  ASSERT_EQ(::write(to_child[1], "x", 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  for (const int end : {to_child[0], to_child[1], to_us[0], to_us[1]}) ::close(end);
  EXPECT_TRUE(open_history(file_)) << "and takes it when it is free";
}

// --- while it is open

struct Mishap {
  const char* name;
  std::function<void(const std::filesystem::path& file, const std::filesystem::path& log)> happens;
};
void PrintTo(const Mishap& mishap, std::ostream* out) { *out << mishap.name; }

class SqliteMisplaced : public SqliteDamage, public testing::WithParamInterface<Mishap> {};

const Mishap kMishaps[] = {
    {"StoreRemoved", [](const auto& file, const auto&) { std::filesystem::remove(file); }},
    {"LogRemoved", [](const auto&, const auto& log) { std::filesystem::remove(log); }},
    {"StoreMovedAway", [](const auto& file, const auto&) { std::filesystem::rename(file, file.string() + ".old"); }},
    {"StoreReplacedByACopy",
     [](const auto& file, const auto&) {
       std::filesystem::copy_file(file, file.string() + ".copy");
       std::filesystem::rename(file.string() + ".copy", file);
     }},
    {"LogReplacedByACopy",
     [](const auto&, const auto& log) {
       std::filesystem::copy_file(log, log.string() + ".copy");
       std::filesystem::rename(log.string() + ".copy", log);
     }},
};
INSTANTIATE_TEST_SUITE_P(, SqliteMisplaced, testing::ValuesIn(kMishaps),
                         [](const auto& mishap) { return std::string(mishap.param.name); });

// What goes on into a file that no start will find is not durable.
TEST_P(SqliteMisplaced, IsNoticedByTheNextCommit) {
  auto store = open_history(file_).value();
  ASSERT_EQ(store->commit(history_commit(1)), CommitOutcome::kDurable);
  GetParam().happens(file_, log_);
  const bool log_left = std::filesystem::exists(log_);
  EXPECT_EQ(store->commit(history_commit(2)), CommitOutcome::kUnknown);
  EXPECT_THAT(store->trouble(), HasSubstr("removed or replaced"));
  EXPECT_FALSE(store->load_all());
  EXPECT_NE(store->commit(history_commit(2)), CommitOutcome::kDurable);
  store.reset();
  EXPECT_EQ(std::filesystem::exists(log_), log_left) << "what lies there now may be somebody's";
}

}  // namespace
}  // namespace qkms::storage
