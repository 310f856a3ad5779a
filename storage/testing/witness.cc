// See witness.h.
#include "storage/testing/witness.h"

#include <cstdlib>
#include <string_view>

namespace qkms::storage {
namespace {

using kms::CommitOutcome;

constexpr std::uint32_t kOften = 40;  // three or four commits

// A failed commit is tried again, as a node does that made its engine anew.
constexpr int kTries = 3;

}  // namespace

bool tries_all() {
  const char* const said = std::getenv("QKMS_FAULTS");
  return said != nullptr && std::string_view(said) == "all";
}

void Witness::complain(std::string text) { complaints_ += std::move(text) + "\n"; }

void Witness::live(std::uint64_t commits) {
  Result<std::unique_ptr<SqliteStore>> store = open_history(file_);
  if (!store) return;
  (*store)->checkpoint_from(kOften);
  if (!take_over(**store)) return;
  for (std::uint64_t i = 0; i < commits; ++i) {
    if (!commit_next(**store)) return;
  }
}

// What a node reads at its start it acts upon: from then on it has to stay.
bool Witness::take_over(SqliteStore& store) {
  const Result<kms::Snapshot> snapshot = store.load_all();
  if (!snapshot) return false;
  const std::uint64_t found = snapshot->node.record_limit;
  if (found < durable_ || found > maybe_) {
    complain("an opening found " + std::to_string(found) + " commits, not " + std::to_string(durable_) + " to " +
             std::to_string(maybe_));
    return false;
  }
  durable_ = maybe_ = found;
  return true;
}

bool Witness::commit_next(SqliteStore& store) {
  const std::uint64_t next = durable_ + 1;
  for (int i = 0; i < kTries; ++i) {
    const CommitOutcome outcome = store.commit(history_commit(next));
    if (outcome == CommitOutcome::kDurable) {
      durable_ = maybe_ = next;
      return true;
    }
    if (outcome == CommitOutcome::kUnknown) {
      ++unknown_;
      maybe_ = next;
      expect_latched(store);
      return false;
    }
    ++failed_;
    const Result<kms::Snapshot> snapshot = store.load_all();
    if (!snapshot) {
      if (snapshot.error().code == ErrorCode::kClosed) complain("a commit failed, and the store is closed for good");
      continue;
    }
    if (snapshot->node.record_limit != durable_) complain("a commit failed, and its rows are there");
  }
  return false;
}

void Witness::expect_latched(SqliteStore& store) {
  if (store.load_all() || store.load({})) complain("after an unknown outcome the store can be read");
  if (store.commit(history_commit(durable_ + 1)) == CommitOutcome::kDurable) {
    complain("after an unknown outcome the store can be written");
  }
}

std::string Witness::verdict() {
  Result<std::unique_ptr<SqliteStore>> store = open_history(file_);
  if (!store) {
    complain("it does not open: " + store.error().text);
    return complaints_;
  }
  const auto found = read_history(**store);
  store->reset();
  if (!found) complain(found.error());
  if (found && *found != durable_ && *found != maybe_) {
    complain("it has " + std::to_string(*found) + " commits, " + std::to_string(durable_) + " were durable, " +
             std::to_string(maybe_) + " at most were tried");
  }
  if (const std::string integrity = integrity_of(file_); integrity != "ok") complain(integrity);
  if (found) durable_ = maybe_ = *found;
  return complaints_;
}

std::string integrity_of(const std::filesystem::path& file) {
  const Result<std::unique_ptr<Database>> database = Database::open(file);
  if (!database) return database.error().text;
  std::string text;
  if (const Result<void> set = (*database)->execute("PRAGMA locking_mode = EXCLUSIVE"); !set) return set.error().text;
  Statement check(**database, "PRAGMA integrity_check");
  const Result<void> checked = check.for_each([&text](Statement& row) -> Result<bool> {
    text = row.text(0);
    return false;
  });
  return checked ? text : checked.error().text;
}

}  // namespace qkms::storage
