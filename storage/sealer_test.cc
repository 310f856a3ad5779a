// Sealing: what goes in comes out at its own place, and nowhere else.
#include "storage/sealer.h"

#include <gtest/gtest.h>

#include <set>

#include "storage/scratch_folder.h"
#include "storage/store_samples.h"

namespace qkms::storage {
namespace {

AssociatedData place(std::uint64_t number) {
  AssociatedData result("extent_bits");
  result.text("KME-B").number(number);
  return result;
}

class SealerTest : public testing::Test {
 protected:
  void SetUp() override { begin_epoch(); }
  void begin_epoch() { ASSERT_TRUE(sealer_.seal_under(ring_->begin_epoch().value())); }
  Sealed seal(std::uint64_t number, std::size_t size = 40) {
    return sealer_.seal(place(number), bits(size, 3).reveal()).value();
  }

  ScratchFolder folder_;
  std::unique_ptr<Keyring> ring_ = Keyring::create(folder_.path() / "keyring", bits(32, 7)).value();
  Sealer sealer_{*ring_};
};

TEST_F(SealerTest, OpensWhatItSealed) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{32}, std::size_t{1} << 20}) {
    const SecretBytes clear = bits(size, 3);
    const Sealed sealed = seal(1, size);
    EXPECT_EQ(sealed.size(), size + kSealHeaderBytes);
    const Result<SecretBytes> opened = sealer_.open(place(1), sealed);
    ASSERT_TRUE(opened) << size;
    EXPECT_TRUE(opened->equals(clear));
    const Result<Sealed> lasting = sealer_.seal_lastingly(place(1), clear.reveal());
    EXPECT_TRUE(sealer_.open(place(1), *lasting)->equals(clear));
  }
}

TEST_F(SealerTest, NoticesEveryFlippedBit) {
  for (Sealed sealed : {seal(1), *sealer_.seal_lastingly(place(1), bits(40, 3).reveal())}) {
    for (std::size_t bit = 0; bit < 8 * sealed.size(); ++bit) {
      sealed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
      const Result<SecretBytes> opened = sealer_.open(place(1), sealed);
      ASSERT_FALSE(opened) << "bit " << bit;
      EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
      sealed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    }
    EXPECT_TRUE(sealer_.open(place(1), sealed));
  }
}

TEST_F(SealerTest, NoticesEveryTruncation) {
  for (const Sealed& sealed : {seal(1), *sealer_.seal_lastingly(place(1), bits(40, 3).reveal())}) {
    for (std::size_t size = 0; size < sealed.size(); ++size) {
      EXPECT_FALSE(sealer_.open(place(1), std::span(sealed).first(size))) << size;
    }
  }
}

TEST_F(SealerTest, BindsABlobToItsPlace) {
  const Sealed sealed = seal(1);
  EXPECT_FALSE(sealer_.open(place(2), sealed));
  EXPECT_FALSE(sealer_.open(AssociatedData("block").text("KME-B").number(1), sealed));
  EXPECT_FALSE(sealer_.open(AssociatedData("extent_bits").text("KME-C").number(1), sealed));
  EXPECT_TRUE(sealer_.open(place(1), sealed));
}

TEST_F(SealerTest, KeepsFieldsApart) {
  AssociatedData left("t"), right("t");
  left.text("ab").text("c");
  right.text("a").text("bc");
  EXPECT_FALSE(std::ranges::equal(left.view(), right.view()));
}

// More epochs than are kept ready at a time; and none whose key is gone.
TEST_F(SealerTest, OpensUnderEveryEpochWhoseKeyIsThere) {
  std::vector<Sealed> blobs;
  for (EpochId epoch = 1; epoch <= 150; ++epoch) {
    blobs.push_back(seal(epoch));
    begin_epoch();
  }
  for (EpochId epoch = 1; epoch <= 150; ++epoch) EXPECT_TRUE(sealer_.open(place(epoch), blobs[epoch - 1])) << epoch;
  ASSERT_TRUE(ring_->destroy({1, 150}, 151));
  sealer_.forget(1);
  sealer_.forget(150);
  for (EpochId epoch = 1; epoch <= 150; ++epoch) {
    EXPECT_EQ(sealer_.open(place(epoch), blobs[epoch - 1]).has_value(), epoch != 1 && epoch != 150) << epoch;
  }
}

TEST_F(SealerTest, OpensNothingOfAnotherKeyring) {
  const Sealed sealed = seal(1);
  const Sealed lasting = *sealer_.seal_lastingly(place(1), bits(32, 3).reveal());
  const auto other_ring = Keyring::create(folder_.path() / "other", bits(32, 7)).value();
  Sealer other(*other_ring);
  ASSERT_TRUE(other.seal_under(other_ring->begin_epoch().value()));
  EXPECT_FALSE(other.open(place(1), sealed));
  EXPECT_FALSE(other.open(place(1), lasting));
}

// Threat T24, for the lasting seals: two sealers that go on from one keyring draw salts of their own.
TEST_F(SealerTest, SealsLastinglyUnderAKeyOfItsOwn) {
  Sealer other(*ring_);
  std::set<Sealed> salts;
  for (Sealer* sealer : {&sealer_, &other}) {
    const Sealed sealed = *sealer->seal_lastingly(place(1), bits(32, 3).reveal());
    salts.emplace(sealed.begin() + kSealHeaderBytes, sealed.begin() + kSealHeaderBytes + 32);
  }
  EXPECT_EQ(salts.size(), 2U);
}

}  // namespace
}  // namespace qkms::storage
