// Sealing: what goes in comes out at its own place, and nowhere else.
#include "storage/sealer.h"

#include <gtest/gtest.h>

#include <set>

namespace qkms::storage {
namespace {

Salt salt_of(std::uint8_t value) {
  Salt salt;
  salt.fill(value);
  return salt;
}

SecretBytes bits(std::size_t size, std::uint8_t first) {
  SecretBytes result(size);
  for (std::size_t i = 0; i < size; ++i) result.reveal_mutable()[i] = static_cast<std::uint8_t>(first + i);
  return result;
}

Sealer make_sealer(std::uint8_t master = 7, std::uint8_t salt = 1) {
  Sealer sealer(bits(32, master));
  EXPECT_TRUE(sealer.seal_under(1, salt_of(salt)));
  return sealer;
}

AssociatedData place(std::uint64_t number) {
  AssociatedData result("extent_bits");
  result.text("KME-B").number(number);
  return result;
}

TEST(Sealer, OpensWhatItSealed) {
  Sealer sealer = make_sealer();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{32}, std::size_t{1} << 20}) {
    const SecretBytes clear = bits(size, 3);
    const Result<Sealed> sealed = sealer.seal(place(1), clear.reveal());
    ASSERT_TRUE(sealed);
    EXPECT_EQ(sealed->size(), size + 33);
    const Result<SecretBytes> opened = sealer.open(place(1), *sealed);
    ASSERT_TRUE(opened) << size;
    EXPECT_TRUE(opened->equals(clear));
  }
}

TEST(Sealer, NoticesEveryFlippedBit) {
  Sealer sealer = make_sealer();
  Sealed sealed = *sealer.seal(place(1), bits(40, 3).reveal());
  for (std::size_t bit = 0; bit < 8 * sealed.size(); ++bit) {
    sealed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    const Result<SecretBytes> opened = sealer.open(place(1), sealed);
    ASSERT_FALSE(opened) << "bit " << bit;
    EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
    sealed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
  }
  EXPECT_TRUE(sealer.open(place(1), sealed));
}

TEST(Sealer, NoticesEveryTruncation) {
  Sealer sealer = make_sealer();
  const Sealed sealed = *sealer.seal(place(1), bits(40, 3).reveal());
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(sealer.open(place(1), std::span(sealed).first(size))) << size;
  }
}

TEST(Sealer, BindsABlobToItsPlace) {
  Sealer sealer = make_sealer();
  const Sealed sealed = *sealer.seal(place(1), bits(32, 3).reveal());
  EXPECT_FALSE(sealer.open(place(2), sealed));
  EXPECT_FALSE(sealer.open(AssociatedData("block").text("KME-B").number(1), sealed));
  EXPECT_FALSE(sealer.open(AssociatedData("extent_bits").text("KME-C").number(1), sealed));
  EXPECT_TRUE(sealer.open(place(1), sealed));
}

TEST(Sealer, KeepsFieldsApart) {
  AssociatedData left("t"), right("t");
  left.text("ab").text("c");
  right.text("a").text("bc");
  EXPECT_FALSE(std::ranges::equal(left.view(), right.view()));
}

TEST(Sealer, OpensUnderEarlierDataKeysAndUnderNoOther) {
  Sealer before = make_sealer(7, 1);
  const Sealed sealed = *before.seal(place(1), bits(32, 3).reveal());

  Sealer after(bits(32, 7));
  ASSERT_TRUE(after.seal_under(2, salt_of(2)));
  EXPECT_FALSE(after.open(place(1), sealed)) << "the data key is not known yet";
  after.add_data_key(1, salt_of(1));
  EXPECT_TRUE(after.open(place(1), sealed));

  Sealer other_salt = make_sealer(7, 9);
  EXPECT_FALSE(other_salt.open(place(1), sealed));
  Sealer other_master = make_sealer(8, 1);
  EXPECT_FALSE(other_master.open(place(1), sealed));
}

// More data keys than are kept ready at a time.
TEST(Sealer, OpensUnderManyDataKeys) {
  Sealer sealer(bits(32, 7));
  std::vector<Sealed> blobs;
  for (DataKeyId id = 1; id <= 150; ++id) {
    ASSERT_TRUE(sealer.seal_under(id, salt_of(static_cast<std::uint8_t>(id))));
    blobs.push_back(*sealer.seal(place(id), bits(32, 3).reveal()));
  }
  for (DataKeyId id = 1; id <= 150; ++id) EXPECT_TRUE(sealer.open(place(id), blobs[id - 1])) << id;
}

// Threat T24: two runs that go on from one copy of a store share the master key and the data key's number, but not the
// salt.
TEST(Sealer, NeverRepeatsAKeyAndNoncePairAfterARestore) {
  std::set<std::pair<std::uint8_t, Sealed>> pairs;
  for (const std::uint8_t salt : {std::uint8_t{1}, std::uint8_t{2}}) {
    Sealer sealer = make_sealer(7, salt);
    for (int i = 0; i < 1000; ++i) {
      const Sealed sealed = *sealer.seal(place(1), bits(8, 3).reveal());
      EXPECT_TRUE(pairs.emplace(salt, Sealed(sealed.begin() + 1, sealed.begin() + 17)).second);
    }
  }
  EXPECT_EQ(pairs.size(), 2000U);
  Sealer left = make_sealer(7, 1), right = make_sealer(7, 2);
  EXPECT_NE(*left.seal(place(1), bits(32, 3).reveal()), *right.seal(place(1), bits(32, 3).reveal()));
}

}  // namespace
}  // namespace qkms::storage
