// Records without a gap are loaded and dropped by one statement, and what was loaded is not looked at again when it
// goes: none of it shows, whatever is asked for in whatever order, and the census stays right.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "storage/scratch_folder.h"
#include "storage/sqlite_store.h"
#include "storage/store_samples.h"

namespace qkms::storage {
namespace {

// Where numbers are small, and where those of SQL turn negative.
constexpr std::uint64_t kBegins[] = {1, (std::uint64_t{1} << 63) - 6};
constexpr std::uint64_t kWidth = 12;

class AssignmentRuns : public testing::Test {
 protected:
  using Ids = std::vector<kms::AssignmentId>;

  std::size_t any(std::size_t below) { return random_() % below; }

  kms::AssignmentId any_id() {
    return {kme(any(2) == 0 ? "KME-A" : "KME-B"), kBegins[any(std::size(kBegins))] + any(kWidth)};
  }
  // A run with holes, some more that are anywhere, in any order, none twice.
  Ids any_ids() {
    const kms::AssignmentId first = any_id();
    std::set<kms::AssignmentId> chosen;
    for (std::uint64_t i = 0, end = any(kWidth); i < end; ++i) {
      if (any(8) != 0) chosen.insert({first.issuer, first.record + i});
    }
    for (std::size_t i = any(3); i > 0; --i) chosen.insert(any_id());
    Ids ids(chosen.begin(), chosen.end());
    if (any(3) == 0) std::ranges::shuffle(ids, random_);
    return ids;
  }

  // Most batches change what they have loaded.
  Ids any_loaded_ids() {
    Ids ids;
    std::ranges::copy_if(loaded_, std::back_inserter(ids), [this](const auto&) { return any(4) != 0; });
    return any(3) == 0 ? any_ids() : ids;
  }

  void load_some() {
    const Ids ids = any_ids();
    loaded_ = ids;
    const kms::Loaded loaded =
        store_->load({.extent_bits = {}, .assignments = {ids.begin(), ids.end()}, .expired_at = {}}).value();
    EXPECT_EQ(loaded.unreadable, 0U);
    std::map<kms::AssignmentId, Millis> found, expected;
    for (const auto& [id, row] : loaded.assignments) found[id] = row.expires_at;
    for (const auto& id : ids) {
      if (stored_.contains(id)) expected[id] = stored_[id];
    }
    ASSERT_EQ(found, expected);
  }

  void commit_some() {
    kms::Changes changes;
    for (const auto& id : any_loaded_ids()) {
      if (any(2) == 0) continue;
      changes.put_assignments.push_back(sample_assignment(id.issuer.str(), id.record, ++version_));
      stored_[id] = version_;
    }
    changes.dropped_assignments = any_loaded_ids();
    for (const auto& id : changes.dropped_assignments) stored_.erase(id);
    ASSERT_EQ(store_->commit(std::move(changes)), kms::CommitOutcome::kDurable) << store_->trouble();
  }

  void reopen() {
    store_.reset();
    open();
    ASSERT_TRUE(store_->quarantined().empty()) << "the census was wrong: " << store_->quarantined()[0].why;
  }
  void open() { store_ = SqliteStore::open(folder_.path() / "store", bits(32, 1)).value(); }

  const std::uint64_t seed_ = std::random_device()();
  std::mt19937_64 random_{seed_};
  ScratchFolder folder_{fast_disk()};
  std::unique_ptr<SqliteStore> store_;
  std::map<kms::AssignmentId, Millis> stored_;
  Ids loaded_;  // asked for by the last load
  Millis version_ = 0;
};

TEST_F(AssignmentRuns, AreWhatTheirRecordsAreOneByOne) {
  SCOPED_TRACE(testing::Message() << "seed " << seed_);
  open();
  for (int round = 0; round < 60 && !HasFatalFailure(); ++round) {
    for (std::size_t i = any(8); i > 0; --i) {
      for (std::size_t loads = any(3); loads > 0; --loads) load_some();
      commit_some();
    }
    reopen();
  }
}

}  // namespace
}  // namespace qkms::storage
