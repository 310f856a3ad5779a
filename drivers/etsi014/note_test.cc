#include "drivers/etsi014/note.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "drivers/etsi014/context.h"
#include "drivers/etsi014/kept_keys.h"
#include "drivers/testing/bits.h"

namespace qkms::drivers::etsi014 {
namespace {

using testing::HasSubstr;

KeyId id_of(std::size_t number) {
  KeyId::Bytes bytes{};
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
  return KeyId(bytes);
}

Note note_of(std::uint32_t key_bytes, std::size_t count, std::size_t first = 1) {
  Note note{key_bytes, {}};
  for (std::size_t i = 0; i < count; ++i) note.ids.push_back(id_of(first + i));
  return note;
}

TEST(TwinNote, IsReadAsItWasWritten) {
  for (const Note& note : {note_of(32, 2), note_of(64, 1), note_of(1, 64), note_of(32, kMaxNoteKeys)}) {
    const std::string bytes = write_note(note);
    EXPECT_LE(bytes.size(), kMaxNoteBytes);
    const auto read = read_note(bytes);
    ASSERT_TRUE(read) << read.error().text;
    EXPECT_EQ(*read, note);
    for (std::size_t cut = 0; cut < bytes.size(); cut += 1 + bytes.size() / 100)
      EXPECT_FALSE(read_note(std::string_view(bytes).substr(0, cut))) << cut;
    EXPECT_FALSE(read_note(bytes + "x"));
  }
}

TEST(TwinNote, IsRefusedWhenItBreaksARule) {
  std::string other_version = write_note(note_of(32, 2));
  other_version[0] = 2;
  Note twice = note_of(32, 2);
  twice.ids[1] = twice.ids[0];
  const std::pair<std::string, const char*> cases[] = {
      {"", "is cut"},
      {std::string(kMaxNoteBytes, '\x01'), "another size"},
      {other_version, "another version"},
      {write_note(twice), "a key twice"},
      {write_note(note_of(32, 0)), "another size"},
      {write_note(note_of(0, 2)), "too small or too large"},
      {write_note(note_of(31, 2)), "too small or too large"},
      {write_note(note_of(kMaxBlockBytes, 2)), "too small or too large"},
      {write_note(note_of(UINT32_MAX, 2)), "too small or too large"},
  };
  for (const auto& [bytes, why] : cases) {
    const auto note = read_note(bytes);
    ASSERT_FALSE(note) << why;
    EXPECT_THAT(note.error().text, HasSubstr(why));
  }
}

TEST(TwinNote, GivesABlockIdThatDependsOnAllOfIt) {
  const Note note = note_of(32, 3);
  EXPECT_EQ(block_id_of(note), block_id_of(note));
  Note other = note;
  std::swap(other.ids[0], other.ids[1]);
  EXPECT_NE(block_id_of(note), block_id_of(other));
  EXPECT_NE(block_id_of(note), block_id_of(note_of(64, 3)));
  EXPECT_NE(block_id_of(note), block_id_of(note_of(32, 2)));
}

TEST(TwinReceipt, IsToldFromANote) {
  const BlockId id = block_id_of(note_of(32, 2));
  EXPECT_EQ(read_receipt(write_receipt(id)), id);
  EXPECT_FALSE(read_note(write_receipt(id)));
  EXPECT_FALSE(read_receipt(write_note(note_of(64, 1))));
  EXPECT_FALSE(read_receipt(write_receipt(id).substr(1)));
  EXPECT_FALSE(read_receipt(write_receipt(id) + "x"));
  EXPECT_FALSE(read_receipt(""));
}

TEST(TwinNote, ComesToAnEndForAnyBytes) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::string good = write_note(note_of(32, 5));
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = good.substr(0, random() % (good.size() + 1));
    for (std::size_t i = random() % 4; i > 0 && !bytes.empty(); --i)
      bytes[random() % std::min<std::size_t>(bytes.size(), 30)] = static_cast<char>(random());
    if (const auto note = read_note(bytes)) {
      EXPECT_EQ(write_note(*note), bytes);
    }
  }
}

TEST(KeptKeys, BecomeABlockOnceNoteAndKeysAreThere) {
  KeptKeys kept(1 << 20);
  const Note note = note_of(32, 3);
  kept.add(note);
  EXPECT_FALSE(kept.take());
  for (const std::size_t number : {3, 1, 9})
    kept.add({id_of(number), random_bits(32, static_cast<std::uint32_t>(number))});
  EXPECT_FALSE(kept.take());
  kept.add({id_of(2), random_bits(32, 2)});
  const auto block = kept.take();
  ASSERT_TRUE(block);
  EXPECT_EQ(block->id, block_id_of(note));
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_TRUE(block->bits.slice(32 * i, 32).equals(random_bits(32, i + 1)));
  EXPECT_FALSE(kept.take());
  EXPECT_EQ(kept.take_dropped(), 0u);
}

TEST(KeptKeys, AreBounded) {
  KeptKeys kept(10 * KeptKeys::kKeyCost);
  for (std::size_t i = 1; i <= 15; ++i) kept.add({id_of(i), random_bits(32, 1)});
  EXPECT_EQ(kept.take_dropped(), 5u);
  for (std::size_t i = 0; i < KeptKeys::kMaxNotes + 3; ++i) kept.add(note_of(32, 2, 100 + 2 * i));
  EXPECT_EQ(kept.take_dropped(), 3u);
  kept.add(note_of(32, 2, 5));  // of these the first has gone
  EXPECT_FALSE(kept.take());
  kept.add(note_of(32, 2, 6));
  EXPECT_TRUE(kept.take());
}

TEST(KeptKeys, OfAnotherSizeThanTheNoteSaysStay) {
  KeptKeys kept(1 << 20);
  kept.add(note_of(32, 2));
  for (const std::size_t number : {1, 2}) kept.add({id_of(number), random_bits(16 * number, 1)});
  EXPECT_FALSE(kept.take());
}

TEST(RecentIds, ForgetOnlyTheOldest) {
  RecentIds seen;
  for (std::size_t i = 0; i <= RecentIds::kWindow; ++i) EXPECT_TRUE(seen.add(id_of(i)));
  EXPECT_FALSE(seen.add(id_of(1)));
  EXPECT_TRUE(seen.add(id_of(0)));
}

}  // namespace
}  // namespace qkms::drivers::etsi014
