// A store that is closed and opened again in one process: what it keeps, what it refuses, what it leaves in memory.
#include "storage/sealable_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sanitizer.h"
#include "base/secret_heap.h"
#include "storage/scratch_folder.h"
#include "storage/store_samples.h"

namespace qkms::storage {
namespace {

namespace fs = std::filesystem;
using kms::Changes;
using kms::CommitOutcome;
using testing::HasSubstr;

class SealableStoreTest : public testing::Test {
 protected:
  std::unique_ptr<SealableStore> lock() { return SealableStore::lock(file_, {}).value(); }
  static SecretBytes master_key() { return bits(32, 1); }
  static CommitOutcome commit_sample(SealableStore& store, std::uint64_t extent) {
    Changes changes;
    changes.node = sample_node();
    changes.node->restored = false;
    changes.put_peers.push_back(sample_peer("KME-B"));
    changes.new_extents.emplace_back(sample_extent("KME-B", extent), bits(64, 7));
    return store.commit(std::move(changes));
  }
  static std::size_t secret_bytes() { return SecretHeap::of_process().figures().used_bytes; }

  ScratchFolder folder_;
  fs::path file_ = folder_.path() / "state" / "store";
  void SetUp() override { fs::create_directory(file_.parent_path()); }
};

TEST_F(SealableStoreTest, RefusesEverythingWhileItIsSealed) {
  auto store = lock();
  EXPECT_EQ(store->opened(), nullptr);
  EXPECT_FALSE(fs::exists(file_)) << "it looks at nothing but the lock";
  EXPECT_EQ(store->load_all().error().code, ErrorCode::kSealed);
  EXPECT_EQ(store->load({}).error().code, ErrorCode::kSealed);
  EXPECT_EQ(store->to_look_at().error().code, ErrorCode::kSealed);
  EXPECT_EQ(commit_sample(*store, 1), CommitOutcome::kFailed);
  ASSERT_TRUE(store->unseal(master_key()));
  EXPECT_TRUE(store->to_look_at());
  EXPECT_EQ(store->load_all()->peers.size(), 0u) << "nothing of what was refused";
}

TEST_F(SealableStoreTest, HasAfterwardsWhatItHadBefore) {
  auto store = lock();
  ASSERT_TRUE(store->unseal(master_key()));
  ASSERT_EQ(commit_sample(*store, 1), CommitOutcome::kDurable);
  const std::string before = describe(store->load_all().value());
  for (int i = 0; i < 3; ++i) {
    store->seal();
    store->seal();  // once more is no harm
    EXPECT_EQ(store->load_all().error().code, ErrorCode::kSealed);
    ASSERT_TRUE(store->unseal(master_key()));
    ASSERT_TRUE(store->unseal(bits(32, 9))) << "it is open: the key is not looked at";
    EXPECT_EQ(describe(store->load_all().value()), before);
  }
  EXPECT_EQ(commit_sample(*store, 2), CommitOutcome::kDurable);
}

TEST_F(SealableStoreTest, LeavesNoSecretInMemory) {
  if (kSanitized) GTEST_SKIP() << "secrets are on the sanitizer's heap";
  auto store = lock();
  const std::size_t before = secret_bytes();
  ASSERT_TRUE(store->unseal(master_key()));
  ASSERT_EQ(commit_sample(*store, 1), CommitOutcome::kDurable);
  EXPECT_GT(secret_bytes(), before);
  store->seal();
  EXPECT_EQ(secret_bytes(), before);
}

TEST_F(SealableStoreTest, StaysSealedWhenTheKeyIsWrong) {
  auto store = lock();
  ASSERT_TRUE(store->unseal(master_key()));
  ASSERT_EQ(commit_sample(*store, 1), CommitOutcome::kDurable);
  store->seal();
  const std::size_t before = secret_bytes();
  const auto wrong = store->unseal(bits(32, 2));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(wrong.error().text, HasSubstr("it is not the one that this store was sealed with"));
  EXPECT_EQ(store->opened(), nullptr);
  EXPECT_EQ(secret_bytes(), before);
  ASSERT_TRUE(store->unseal(master_key()));
  EXPECT_EQ(store->load_all()->extents.size(), 1u);
}

TEST_F(SealableStoreTest, LetsNoOtherProcessHaveTheStoreWhileItIsSealed) {
  auto store = lock();
  EXPECT_EQ(SealableStore::lock(file_, {}).error().code, ErrorCode::kClosed);
  ASSERT_TRUE(store->unseal(master_key()));
  store->seal();
  EXPECT_EQ(SqliteStore::open(file_, master_key()).error().code, ErrorCode::kClosed);
  store.reset();
  EXPECT_TRUE(SqliteStore::open(file_, master_key()));
}

TEST_F(SealableStoreTest, OpensNoFolderThatAnotherProcessHas) {
  auto store = lock();
  ASSERT_TRUE(store->unseal(master_key()));
  store->seal();
  fs::rename(file_.parent_path(), folder_.path() / "moved-away");
  fs::create_directory(file_.parent_path());
  auto other = SqliteStore::open(file_, bits(32, 3));
  ASSERT_TRUE(other);
  const auto refused = store->unseal(master_key());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kClosed);
  other->reset();
  EXPECT_EQ(store->unseal(master_key()).error().code, ErrorCode::kInvalid) << "another master key's";
  fs::remove_all(file_.parent_path());
  fs::rename(folder_.path() / "moved-away", file_.parent_path());
  ASSERT_TRUE(store->unseal(master_key()));
  EXPECT_EQ(SqliteStore::open(file_, master_key()).error().code, ErrorCode::kClosed) << "and is locked again";
}

TEST_F(SealableStoreTest, NoticesThatAnOldCopyWasPutBack) {
  auto store = lock();
  ASSERT_TRUE(store->unseal(master_key()));
  ASSERT_EQ(commit_sample(*store, 1), CommitOutcome::kDurable);
  store->seal();
  fs::copy_file(file_, folder_.path() / "copy");
  ASSERT_TRUE(store->unseal(master_key()));
  EXPECT_FALSE(store->opened()->is_behind_keyring());
  ASSERT_EQ(commit_sample(*store, 2), CommitOutcome::kDurable);
  store->seal();
  fs::copy_file(folder_.path() / "copy", file_, fs::copy_options::overwrite_existing);
  ASSERT_TRUE(store->unseal(master_key()));
  EXPECT_TRUE(store->opened()->is_behind_keyring());
  EXPECT_TRUE(store->load_all()->node.restored) << "the engine burns what is in it";
}

TEST_F(SealableStoreTest, SaysThatTheKeyringIsGone) {
  auto store = lock();
  ASSERT_TRUE(store->unseal(master_key()));
  ASSERT_EQ(commit_sample(*store, 1), CommitOutcome::kDurable);
  store->seal();
  const fs::path keyring = keyring_beside(file_);
  fs::rename(keyring, folder_.path() / "kept");
  const auto refused = store->unseal(master_key());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text, HasSubstr("is missing"));
  fs::rename(folder_.path() / "kept", keyring);
  EXPECT_TRUE(store->unseal(master_key()));
}

}  // namespace
}  // namespace qkms::storage
