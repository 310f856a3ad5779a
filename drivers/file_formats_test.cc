#include "drivers/file_formats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "drivers/testing/bits.h"

namespace qkms::drivers {
namespace {

const LinkId kLink = LinkId::parse("A-B").value();

class FileBuilder {
 public:
  FileBuilder& bytes(std::span<const std::uint8_t> more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    return *this;
  }
  FileBuilder& text(std::string_view more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    return *this;
  }
  FileBuilder& big_endian(std::uint64_t value, int size) {
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8)
      bytes_.push_back(static_cast<std::uint8_t>(value >> shift));
    return *this;
  }
  FileBuilder& little_endian(std::uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) bytes_.push_back(static_cast<std::uint8_t>(value >> shift));
    return *this;
  }
  SecretBytes build() const { return SecretBytes::copy_of(bytes_); }

 private:
  std::vector<std::uint8_t> bytes_;
};

Result<std::vector<Block>> parse(FileFormat format, const SecretBytes& content, std::string_view name = "k.bin") {
  return blocks_of_file(format, kLink, name, content);
}

bool same(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) { return std::ranges::equal(a, b); }

// --- raw

TEST(RawFiles, AreOneBlockUnderTheUuidThatIsTheirName) {
  const SecretBytes bits = random_bits(1000, 1);
  const auto blocks = parse(FileFormat::kRaw, bits, "0b9c2d58-2b1e-4b7e-9d66-0d8f3b0d3f11.key");
  ASSERT_TRUE(blocks);
  ASSERT_EQ(blocks->size(), 1u);
  EXPECT_EQ(to_string(blocks->front().id), "0b9c2d58-2b1e-4b7e-9d66-0d8f3b0d3f11");
  EXPECT_TRUE(same(blocks->front().bits.reveal(), bits.reveal()));
}

TEST(RawFiles, AreCutWhenTheyAreLargeAndNamedAfterLinkNameAndPart) {
  const SecretBytes bits = random_bits(3 * kMaxBlockBytes - 5, 2);
  const auto blocks = parse(FileFormat::kRaw, bits, "run 7");
  ASSERT_TRUE(blocks);
  ASSERT_EQ(blocks->size(), 3u);
  std::vector<std::uint8_t> joined;
  std::set<BlockId> ids;
  for (const Block& block : *blocks) {
    joined.insert(joined.end(), block.bits.reveal().begin(), block.bits.reveal().end());
    ids.insert(block.id);
  }
  EXPECT_TRUE(same(joined, bits.reveal()));
  EXPECT_EQ(ids.size(), 3u);
  EXPECT_EQ(parse(FileFormat::kRaw, bits, "run 7")->front().id, blocks->front().id);
  EXPECT_NE(parse(FileFormat::kRaw, bits, "run 8")->front().id, blocks->front().id);
}

// --- records

FileBuilder& record(FileBuilder& file, std::uint8_t number) {
  const std::array<std::uint8_t, 16> id = {number};
  return file.bytes(id).bytes(random_bits(32, number).reveal());
}

TEST(UuidRecords, BecomeOneBlockInTheOrderOfTheirIds) {
  FileBuilder one, other;
  for (const int number : {3, 1, 2}) record(one, static_cast<std::uint8_t>(number));
  for (const int number : {1, 2, 3}) record(other, static_cast<std::uint8_t>(number));
  const auto a = parse(FileFormat::kUuidRecords, one.build(), "a"),
             b = parse(FileFormat::kUuidRecords, other.build(), "b");
  ASSERT_TRUE(a && b);
  ASSERT_EQ(a->size(), 1u);
  EXPECT_EQ(a->front().id, b->front().id);
  EXPECT_TRUE(same(a->front().bits.reveal(), b->front().bits.reveal()));
  EXPECT_TRUE(same(a->front().bits.reveal().subspan(32, 32), random_bits(32, 2).reveal()));
}

TEST(UuidRecords, OfAnotherSetAreAnotherBlock) {
  FileBuilder one, other;
  for (const int number : {1, 2, 3}) record(one, static_cast<std::uint8_t>(number));
  for (const int number : {1, 2, 4}) record(other, static_cast<std::uint8_t>(number));
  EXPECT_NE(parse(FileFormat::kUuidRecords, one.build())->front().id,
            parse(FileFormat::kUuidRecords, other.build())->front().id);
}

// --- qcrypto

// The last word is 0xAABBCCDD in memory order DD CC BB AA; its first bit is the most significant one, of AA.
TEST(QcryptoFiles, HaveTheirFirstBitInTheMostSignificantPlaceOfAWord) {
  FileBuilder file;
  file.little_endian(7).little_endian(0xb1234567).little_endian(1).little_endian(512);
  for (int i = 0; i < 15; ++i) file.little_endian(0x01020304);
  file.little_endian(0xaabbccdd);
  const auto blocks = parse(FileFormat::kQcrypto, file.build());
  ASSERT_TRUE(blocks) << blocks.error().text;
  const auto bits = blocks->front().bits.reveal();
  ASSERT_EQ(bits.size(), 64u);
  EXPECT_TRUE(same(bits.first(4), std::array<std::uint8_t, 4>{1, 2, 3, 4}));
  EXPECT_TRUE(same(bits.last(4), std::array<std::uint8_t, 4>{0xaa, 0xbb, 0xcc, 0xdd}));
}

TEST(QcryptoFiles, DropBitsBeyondTheLastWholeByte) {
  FileBuilder file;
  file.little_endian(7).little_endian(1).little_endian(1).little_endian(519);
  for (int i = 0; i < 17; ++i) file.little_endian(0x01020304);
  const auto blocks = parse(FileFormat::kQcrypto, file.build());
  ASSERT_TRUE(blocks) << blocks.error().text;
  EXPECT_EQ(blocks->front().bits.size(), 64u);
}

TEST(QcryptoFiles, MayHoldSeveralKeys) {
  FileBuilder file;
  for (const std::uint32_t epoch : {10u, 11u}) {
    file.little_endian(7).little_endian(epoch).little_endian(1).little_endian(512);
    for (int i = 0; i < 16; ++i) file.little_endian(epoch + 1);
  }
  const auto blocks = parse(FileFormat::kQcrypto, file.build());
  ASSERT_TRUE(blocks);
  ASSERT_EQ(blocks->size(), 2u);
  EXPECT_NE(blocks->at(0).id, blocks->at(1).id);
}

// --- AIT

TEST(AitFiles, HoldRecordsWithADescription) {
  FileBuilder file;
  for (const std::uint32_t number : {1u, 2u}) {
    const std::string xml = "<key id=\"" + std::to_string(number) + "\"/>";
    file.big_endian(number, 4)
        .big_endian(xml.size(), 8)
        .text(xml)
        .big_endian(128, 8)
        .bytes(random_bits(128, number).reveal());
  }
  const auto blocks = parse(FileFormat::kAit, file.build());
  ASSERT_TRUE(blocks) << blocks.error().text;
  ASSERT_EQ(blocks->size(), 2u);
  EXPECT_TRUE(same(blocks->at(1).bits.reveal(), random_bits(128, 2).reveal()));
  EXPECT_NE(blocks->at(0).id, blocks->at(1).id);
}

// --- what is wrong

struct BadFile {
  const char* name;
  FileFormat format;
  SecretBytes content;
  const char* why;
};

std::vector<BadFile> bad_files() {
  std::vector<BadFile> files;
  const auto add = [&](const char* name, FileFormat format, SecretBytes content, const char* why) {
    files.push_back({name, format, std::move(content), why});
  };
  add("raw, empty", FileFormat::kRaw, {}, "it has fewer than 64 bytes");
  add("raw, short", FileFormat::kRaw, random_bits(63, 1), "it has fewer than 64 bytes");
  add("raw, too long", FileFormat::kRaw, SecretBytes(kMaxFileBytes + 1), "it has more than 67108864 bytes");
  add("records, odd size", FileFormat::kUuidRecords, random_bits(97, 1),
      "its size is not a multiple of 48 bytes, a UUID and a key of 256 bits");
  add("records, one", FileFormat::kUuidRecords, random_bits(48, 1), "it has fewer than two records");
  add("records, twice the same", FileFormat::kUuidRecords, SecretBytes(96), "it has two records with the same UUID");
  add("qcrypto, empty", FileFormat::kQcrypto, {}, "it is empty");
  add("qcrypto, cut in the header", FileFormat::kQcrypto, random_bits(15, 1), "it ends within a header, at byte 0");
  add("qcrypto, another stream", FileFormat::kQcrypto,
      FileBuilder().little_endian(3).little_endian(1).little_endian(1).little_endian(512).build(),
      "the tag at byte 0 is not 7");
  const auto qcrypto = [](std::uint32_t bits) {
    return FileBuilder()
        .little_endian(7)
        .little_endian(1)
        .little_endian(1)
        .little_endian(bits)
        .bytes(SecretBytes(60).reveal())
        .build();
  };
  add("qcrypto, cut", FileFormat::kQcrypto, qcrypto(512), "it ends within the key at byte 0");
  add("qcrypto, no bits", FileFormat::kQcrypto, qcrypto(0), "the key at byte 0 has 0 bits; accepted: 512 to 8388608");
  add("qcrypto, a negative number", FileFormat::kQcrypto, qcrypto(0x80000000),
      "the key at byte 0 has 2147483648 bits; accepted: 512 to 8388608");
  add("qcrypto, the largest number", FileFormat::kQcrypto, qcrypto(0xffffffff),
      "the key at byte 0 has 4294967295 bits; accepted: 512 to 8388608");
  add("ait, cut", FileFormat::kAit, random_bits(19, 1), "it ends within a record, at byte 0");
  const auto ait = [](std::uint64_t description, std::uint64_t size) {
    return FileBuilder().big_endian(1, 4).big_endian(description, 8).text("<k/>").big_endian(size, 8).build();
  };
  add("ait, a description beyond the end", FileFormat::kAit, ait(UINT64_MAX, 64),
      "it ends within the description at byte 0");
  add("ait, cut in the key", FileFormat::kAit, ait(4, 64), "it ends within the key at byte 0");
  add("ait, an impossible size", FileFormat::kAit, ait(4, UINT64_MAX),
      "the key at byte 0 has 18446744073709551615 bytes; accepted: 64 to 1048576");
  return files;
}

TEST(KeyFiles, ThatAreWrongAreRefusedWithASentence) {
  for (const BadFile& file : bad_files()) {
    const auto blocks = parse(file.format, file.content);
    ASSERT_FALSE(blocks) << file.name;
    EXPECT_EQ(blocks.error().text, file.why) << file.name;
    EXPECT_EQ(blocks.error().code, ErrorCode::kInvalid) << file.name;
  }
}

}  // namespace
}  // namespace qkms::drivers
