// The keyring's file: what it keeps, what it forgets, what it refuses.
#include "storage/keyring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "storage/scratch_folder.h"
#include "storage/store_samples.h"

namespace qkms::storage {
namespace {

using testing::HasSubstr;

class KeyringTest : public testing::Test {
 protected:
  std::unique_ptr<Keyring> create() { return Keyring::create(file_, bits(32, 7)).value(); }
  Result<std::unique_ptr<Keyring>> read(std::uint8_t master = 7) { return Keyring::read(file_, bits(32, master)); }
  std::string content() const {
    std::ifstream in(file_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& text) { std::ofstream(file_, std::ios::binary | std::ios::trunc) << text; }

  ScratchFolder folder_;
  std::filesystem::path file_ = folder_.path() / "keyring";
};

TEST_F(KeyringTest, IsReadAsItWas) {
  const auto ring = create();
  for (EpochId epoch = 1; epoch <= 3; ++epoch) ASSERT_EQ(*ring->begin_epoch(), epoch);
  ASSERT_TRUE(ring->destroy({2}, 3));
  const auto again = read().value();
  EXPECT_EQ(again->store_id(), ring->store_id());
  EXPECT_EQ(again->head_epoch(), 3U);
  EXPECT_EQ(again->epochs(), (std::set<EpochId>{1, 3}));
  for (const EpochId epoch : {1U, 3U}) EXPECT_TRUE(again->key_of(epoch)->equals(*ring->key_of(epoch)));
  EXPECT_TRUE(again->root_key().equals(ring->root_key()));
  EXPECT_TRUE(again->census_key().equals(ring->census_key()));
  EXPECT_EQ(*again->begin_epoch(), 4U) << "no epoch comes twice";
}

TEST_F(KeyringTest, IsAFileThatNobodyElseMayRead) {
  ASSERT_TRUE(create()->begin_epoch());
  struct stat status{};
  ASSERT_EQ(::stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
}

// The keys are random, so the file could hide a destroyed one only in what it wraps: its length and what is read from
// it say that it is gone. An open descriptor on what was replaced finds zeroes.
TEST_F(KeyringTest, HoldsADestroyedKeyNoMore) {
  const auto ring = create();
  ASSERT_TRUE(ring->begin_epoch());
  const std::size_t with_one = content().size();
  ASSERT_TRUE(ring->begin_epoch());
  EXPECT_EQ(content().size(), with_one + 36);
  std::ifstream before(file_, std::ios::binary);
  ASSERT_TRUE(ring->destroy({1}, 2));
  EXPECT_EQ(content().size(), with_one);
  EXPECT_EQ(read().value()->key_of(1), nullptr);
  EXPECT_EQ(ring->key_of(1), nullptr);
  const std::string replaced{std::istreambuf_iterator<char>(before), {}};
  EXPECT_EQ(replaced, std::string(with_one + 36, '\0'));
}

TEST_F(KeyringTest, HasNoKeyInClear) {
  const auto ring = create();
  ASSERT_TRUE(ring->begin_epoch());
  for (const SecretBytes* key : {ring->key_of(1), &ring->root_key(), &ring->census_key()}) {
    const std::string clear(key->reveal().begin(), key->reveal().end());
    EXPECT_EQ(content().find(clear.substr(0, 8)), std::string::npos);
  }
}

TEST_F(KeyringTest, WrapsEachTimeUnderAnotherKey) {
  const auto ring = create();
  std::set<std::string> salts;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(ring->destroy({}, 0));
    salts.insert(content().substr(28, 32));
  }
  EXPECT_EQ(salts.size(), 20U);
}

TEST_F(KeyringTest, RefusesAnotherMasterKey) {
  ASSERT_TRUE(create()->begin_epoch());
  const auto ring = read(8);
  ASSERT_FALSE(ring);
  EXPECT_EQ(ring.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(ring.error().text, HasSubstr("the master key do not fit"));
}

TEST_F(KeyringTest, SaysThatItIsNotThere) { EXPECT_EQ(read().error().code, ErrorCode::kNotFound); }

TEST_F(KeyringTest, RefusesWhatIsNoKeyring) {
  for (const std::string& text : {std::string(), std::string("qkmsring"), std::string(5000, 'x')}) {
    write(text);
    EXPECT_EQ(read().error().code, ErrorCode::kCorrupt) << text.size();
  }
  std::filesystem::remove(file_);
  std::filesystem::create_symlink("elsewhere", file_);
  EXPECT_FALSE(read());
  std::filesystem::remove(file_);
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  EXPECT_FALSE(read()) << "and does not block";
}

TEST_F(KeyringTest, NoticesEveryFlippedBitAndEveryCut) {
  ASSERT_TRUE(create()->begin_epoch());
  const std::string good = content();
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ 1 << bit % 8);
    write(bad);
    ASSERT_FALSE(read()) << "bit " << bit;
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    write(good.substr(0, size));
    ASSERT_FALSE(read()) << size;
  }
  write(good);
  EXPECT_TRUE(read());
}

}  // namespace
}  // namespace qkms::storage
