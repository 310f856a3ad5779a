// The store in SQLite when the disk is full, when writing fails, and when the process is killed in the middle of
// commits: all of a commit or nothing, and an answer that is true.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <functional>
#include <random>

#include "storage/scratch_folder.h"
#include "storage/testing/history.h"

namespace qkms::storage {
namespace {

using kms::CommitOutcome;
using testing::HasSubstr;

// How far the history has come. Fails the test when the store holds what no number of commits leaves.
std::uint64_t check_history(kms::Store& store) {
  const auto found = read_history(store);
  EXPECT_TRUE(found) << found.error();
  return found.value_or(0);
}

class SqliteFaults : public testing::Test {
 protected:
  std::unique_ptr<SqliteStore> open() {
    Result<std::unique_ptr<SqliteStore>> store = open_history(file_);
    EXPECT_TRUE(store) << store.error().text;
    return std::move(store.value());
  }

  // Commits large changes until one is not durable. Gives how many were, and what the other one was.
  static std::pair<std::uint64_t, CommitOutcome> commit_until_trouble(SqliteStore& store) {
    for (std::uint64_t i = 1; i < 1000; ++i) {
      const CommitOutcome outcome = store.commit(history_commit(i, 100'000));
      if (outcome != CommitOutcome::kDurable) return {i - 1, outcome};
    }
    return {1000, CommitOutcome::kDurable};
  }

  // Runs the body in a process of its own, which may then change its limits and mounts; its failures are ours. 77:
  // skipped.
  static int run_in_child(const std::function<int()>& body) {
    const pid_t child = ::fork();
    if (child == 0) {
      const int code = body();
      ::_exit(testing::Test::HasFailure() ? 1 : code);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  ScratchFolder folder_;
  std::filesystem::path file_ = folder_.path() / "store";
};

TEST_F(SqliteFaults, FailsCleanlyAboveItsPageLimitAndGoesOnBelowIt) {
  std::unique_ptr<SqliteStore> store = open();
  ASSERT_TRUE(store->limit_pages(100));
  const auto [durable, outcome] = commit_until_trouble(*store);
  EXPECT_GT(durable, 0U);
  EXPECT_EQ(outcome, CommitOutcome::kFailed);
  EXPECT_THAT(store->trouble(), HasSubstr("full"));
  EXPECT_EQ(check_history(*store), durable);
  EXPECT_EQ(store->commit(history_commit(durable + 1, 100'000)), CommitOutcome::kFailed) << "as long as it lasts";

  ASSERT_TRUE(store->limit_pages(0));
  EXPECT_EQ(store->commit(history_commit(durable + 1, 100'000)), CommitOutcome::kDurable);
  EXPECT_EQ(store->trouble(), "");
  EXPECT_EQ(check_history(*store), durable + 1);
  store.reset();
  EXPECT_EQ(check_history(*open()), durable + 1);
}

bool mount_small_disk(const std::filesystem::path& folder) {
  if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  return ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=2m") == 0;
}

// A real full disk: nothing is lost, and it ends when there is space again, without a restart.
TEST_F(SqliteFaults, FailsCleanlyOnAFullDiskAndGoesOnWhenThereIsSpace) {
  const int code = run_in_child([this] {
    if (!mount_small_disk(folder_.path())) return 77;
    const std::filesystem::path ballast = folder_.path() / "ballast";
    const int descriptor = ::open(ballast.c_str(), O_WRONLY | O_CREAT, 0600);
    EXPECT_EQ(::posix_fallocate(descriptor, 0, 1 << 20), 0);
    ::close(descriptor);

    std::unique_ptr<SqliteStore> store = open();
    const auto [durable, outcome] = commit_until_trouble(*store);
    EXPECT_GT(durable, 0U);
    EXPECT_EQ(outcome, CommitOutcome::kFailed);
    EXPECT_THAT(store->trouble(), HasSubstr("full"));
    EXPECT_EQ(check_history(*store), durable);

    std::filesystem::remove(ballast);
    EXPECT_EQ(store->commit(history_commit(durable + 1, 100'000)), CommitOutcome::kDurable);
    store.reset();
    EXPECT_EQ(check_history(*open()), durable + 1);
    return 0;
  });
  if (code == 77) GTEST_SKIP() << "this user may not mount";
  EXPECT_EQ(code, 0);
}

void limit_files(rlim_t bytes) {
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
}

// EFBIG is no full disk to SQLite, but an I/O error: what is on the disk is in doubt.
TEST_F(SqliteFaults, LatchesAfterAWriteErrorAndARestartFindsAllOrNothing) {
  const int code = run_in_child([this] {
    std::unique_ptr<SqliteStore> store = open();
    limit_files(500'000);
    const auto [durable, outcome] = commit_until_trouble(*store);
    EXPECT_GT(durable, 0U);
    EXPECT_EQ(outcome, CommitOutcome::kUnknown);
    EXPECT_THAT(store->trouble(), HasSubstr("I/O"));

    limit_files(RLIM_INFINITY);
    EXPECT_EQ(store->load_all().error().code, ErrorCode::kClosed);
    EXPECT_EQ(store->load({}).error().code, ErrorCode::kClosed);
    EXPECT_EQ(store->commit(history_commit(durable + 1)), CommitOutcome::kFailed);

    store.reset();
    const std::uint64_t found = check_history(*open());
    EXPECT_TRUE(found == durable || found == durable + 1) << found << " after " << durable;
    return 0;
  });
  EXPECT_EQ(code, 0);
}

// The child: goes on with the history and says so on the pipe, commit by commit, until it is killed.
[[noreturn]] void write_history(const std::filesystem::path& file, int pipe) {
  Result<std::unique_ptr<SqliteStore>> store = open_history(file);
  if (!store) ::_exit(2);
  std::uint64_t i = (*store)->load_all().value().node.record_limit;
  for (;;) {
    ++i;
    if ((*store)->commit(history_commit(i)) != CommitOutcome::kDurable) ::_exit(3);
    if (::write(pipe, &i, sizeof i) != sizeof i) ::_exit(4);
  }
}

// Lets the child get through `commits` commits, kills it, and gives the number of the last one that it said was
// durable.
std::uint64_t run_and_kill(const std::filesystem::path& file, std::uint64_t commits, std::uint64_t last) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) write_history(file, ends[1]);
  ::close(ends[1]);
  std::uint64_t number = 0;
  for (std::uint64_t i = 0; i < commits && ::read(ends[0], &number, sizeof number) == sizeof number; ++i) last = number;
  ::kill(child, SIGKILL);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
  while (::read(ends[0], &number, sizeof number) == sizeof number) last = number;
  ::close(ends[0]);
  return last;
}

// Invariant 4, and the part of threat T38 that concerns the store: 200 kills.
TEST_F(SqliteFaults, HoldsAPrefixOfTheHistoryAfterEachKill) {
  const std::uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::uint64_t last = 0;
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const std::uint64_t said = run_and_kill(file_, random() % 8, last);
    const std::uint64_t found = check_history(*open());
    ASSERT_TRUE(found == said || found == said + 1) << "found " << found << ", the process said " << said;
    last = found;
  }
  EXPECT_GT(last, 200U);
}

}  // namespace
}  // namespace qkms::storage
