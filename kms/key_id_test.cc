#include "kms/key_id.h"

#include <gtest/gtest.h>

#include <set>

namespace qkms::kms {
namespace {

std::array<std::uint8_t, kIdKeyBytes> test_key(std::uint8_t first) {
  std::array<std::uint8_t, kIdKeyBytes> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(first + i);
  return key;
}

TEST(KeyIdCodec, DecodesWhatItEncoded) {
  const KeyIdCodec codec(test_key(0));
  std::set<KeyId> all;
  for (std::uint64_t record : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{4096}, kMaxRecord}) {
    const auto ids = codec.encode(record, 128);
    for (std::uint32_t i = 0; i < ids.size(); ++i) {
      EXPECT_EQ(codec.decode(ids[i]), (KeyPlace{record, i}));
      all.insert(ids[i]);
    }
  }
  EXPECT_EQ(all.size(), 4u * 128u);
}

struct VectorCase {
  std::uint64_t record;
  std::uint32_t index;
  const char* id;
};

// Made with an independent FF1: the crate fpe 0.6 (FF1<Aes256>, radix 2, 122 numerals, empty tweak, key 00 01 ... 1f).
TEST(KeyIdCodec, AgreesWithAnotherImplementationOfFf1) {
  const VectorCase cases[] = {
      {0, 0, "cb7c156e-d3e2-4ad5-afe5-1349d4531fda"},
      {1, 0, "f36800b5-67d0-4ace-9864-b42ac45e49b1"},
      {1, 1, "8c80cb1d-e9af-469c-a0b8-fa75699e3195"},
      {4096, 127, "125aa1fb-cdda-4620-887b-3c5b26937ad5"},
      {kMaxRecord, 65535, "a83d4e2f-5567-4b5f-bacd-80865cceaec8"},
  };
  const KeyIdCodec codec(test_key(0));
  for (const VectorCase& c : cases) EXPECT_EQ(to_string(codec.encode(c.record, c.index + 1)[c.index]), c.id);
}

TEST(KeyIdCodec, WritesVersion4Uuids) {
  for (const KeyId& id : KeyIdCodec(test_key(9)).encode(77, 64)) {
    EXPECT_EQ(id.bytes()[6] >> 4, 4);
    EXPECT_EQ(id.bytes()[8] >> 6, 2);
  }
}

TEST(KeyIdCodec, RefusesIdsThatItsKeyDidNotMake) {
  const KeyIdCodec ours(test_key(0)), theirs(test_key(1));
  for (const KeyId& id : ours.encode(5, 100)) EXPECT_EQ(theirs.decode(id), std::nullopt);
  EXPECT_EQ(ours.decode(KeyId()), std::nullopt);  // the nil UUID
  auto bytes = ours.encode(5, 1)[0].bytes();
  for (std::size_t bit = 0; bit < 128; ++bit) {
    auto changed = bytes;
    changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ (1u << (bit % 8)));
    EXPECT_EQ(ours.decode(KeyId(changed)), std::nullopt) << bit;
  }
}

}  // namespace
}  // namespace qkms::kms
