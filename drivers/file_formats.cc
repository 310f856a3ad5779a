#include "drivers/file_formats.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>

#include "drivers/block_id.h"

namespace qkms::drivers {
namespace {

using Bytes = std::span<const std::uint8_t>;

std::string text_of(std::uint64_t number) { return std::to_string(number); }

std::unexpected<Error> refuse(std::string why) { return fail(ErrorCode::kInvalid, std::move(why)); }

// Reads from the front; whoever asks for more than is left gets nothing.
class Reader {
 public:
  explicit Reader(Bytes bytes) : bytes_(bytes) {}
  std::size_t offset() const { return offset_; }
  std::size_t left() const { return bytes_.size() - offset_; }
  Bytes take(std::size_t size) {
    const Bytes part = bytes_.subspan(offset_, size);
    offset_ += size;
    return part;
  }
  std::uint64_t big_endian(std::size_t size) {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : take(size)) value = value << 8 | byte;
    return value;
  }
  std::uint32_t little_endian() {
    const Bytes part = take(4);
    return std::uint32_t{part[3]} << 24 | std::uint32_t{part[2]} << 16 | std::uint32_t{part[1]} << 8 | part[0];
  }

 private:
  Bytes bytes_;
  std::size_t offset_ = 0;
};

// --- raw

std::string_view stem_of(std::string_view name) { return name.substr(0, name.find('.')); }

Result<std::vector<Block>> raw_blocks(const LinkId& link, std::string_view name, Bytes content) {
  if (content.size() < kMinBlockBytes) return refuse(fmt::format("it has fewer than {} bytes", kMinBlockBytes));
  std::vector<Block> blocks;
  const std::size_t parts = (content.size() + kMaxBlockBytes - 1) / kMaxBlockBytes;
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t begin = content.size() * part / parts, end = content.size() * (part + 1) / parts;
    BlockId id = derived_block_id({"raw", link.str(), name, text_of(part)});
    if (const auto named = parse_uuid(stem_of(name)); named && parts == 1) id = BlockId(*named);
    blocks.push_back({id, SecretBytes::copy_of(content.subspan(begin, end - begin))});
  }
  return blocks;
}

// --- records of a UUID and a key

constexpr std::size_t kRecordIdBytes = 16, kRecordKeyBytes = 32, kRecordBytes = kRecordIdBytes + kRecordKeyBytes;
constexpr std::size_t kRecordsPerBlock = kMaxBlockBytes / kRecordKeyBytes;

Block block_of_records(const LinkId& link, std::span<const Bytes> records) {
  std::string ids;
  SecretBytes bits(records.size() * kRecordKeyBytes);
  for (std::size_t i = 0; i < records.size(); ++i) {
    const Bytes id = records[i].first(kRecordIdBytes);
    ids.append(reinterpret_cast<const char*>(id.data()), id.size());
    std::ranges::copy(records[i].subspan(kRecordIdBytes), bits.reveal_mutable().subspan(i * kRecordKeyBytes).begin());
  }
  return {derived_block_id({"uuid-records", link.str(), ids}), std::move(bits)};
}

Result<std::vector<Block>> record_blocks(const LinkId& link, Bytes content) {
  const std::size_t count = content.size() / kRecordBytes;
  if (content.size() % kRecordBytes != 0) {
    return refuse(fmt::format("its size is not a multiple of {} bytes, a UUID and a key of 256 bits", kRecordBytes));
  }
  if (count * kRecordKeyBytes < kMinBlockBytes) return refuse("it has fewer than two records");
  std::vector<Bytes> records(count);
  for (std::size_t i = 0; i < count; ++i) records[i] = content.subspan(i * kRecordBytes, kRecordBytes);
  const auto id_of = [](Bytes record) { return record.first(kRecordIdBytes); };
  std::ranges::sort(records,
                    [&](Bytes a, Bytes b) { return std::ranges::lexicographical_compare(id_of(a), id_of(b)); });
  const auto twice =
      std::ranges::adjacent_find(records, [&](Bytes a, Bytes b) { return std::ranges::equal(id_of(a), id_of(b)); });
  if (twice != records.end()) return refuse("it has two records with the same UUID");
  std::vector<Block> blocks;
  const std::size_t parts = (count + kRecordsPerBlock - 1) / kRecordsPerBlock;
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t begin = count * part / parts, end = count * (part + 1) / parts;
    blocks.push_back(block_of_records(link, std::span(records).subspan(begin, end - begin)));
  }
  return blocks;
}

// --- qcrypto

constexpr std::size_t kQcryptoHeaderBytes = 16;
constexpr std::uint32_t kQcryptoTag = 7;

SecretBytes bits_of_words(Reader& reader, std::size_t words, std::size_t bytes) {
  SecretBytes bits(bytes);
  const auto out = bits.reveal_mutable();
  for (std::size_t word = 0; word < words; ++word) {
    const Bytes little = reader.take(4);
    for (std::size_t i = 0; i < 4 && 4 * word + i < bytes; ++i) out[4 * word + i] = little[3 - i];
  }
  return bits;
}

Result<Block> qcrypto_block(const LinkId& link, Reader& reader) {
  const std::size_t at = reader.offset();
  if (reader.left() < kQcryptoHeaderBytes) return refuse(fmt::format("it ends within a header, at byte {}", at));
  if (reader.little_endian() != kQcryptoTag) return refuse(fmt::format("the tag at byte {} is not 7", at));
  const std::uint32_t epoch = reader.little_endian(), epochs = reader.little_endian(), bits = reader.little_endian();
  const std::size_t bytes = bits / 8, words = (std::size_t{bits} + 31) / 32;
  if (bytes < kMinBlockBytes || bytes > kMaxBlockBytes) {
    return refuse(fmt::format("the key at byte {} has {} bits; accepted: {} to {}", at, bits, 8 * kMinBlockBytes,
                              8 * kMaxBlockBytes));
  }
  if (reader.left() < 4 * words) return refuse(fmt::format("it ends within the key at byte {}", at));
  return Block{derived_block_id({"qcrypto", link.str(), text_of(epoch), text_of(epochs)}),
               bits_of_words(reader, words, bytes)};
}

// --- AIT

constexpr std::size_t kAitLeast = 4 + 8 + 8;

Result<Block> ait_block(const LinkId& link, Reader& reader) {
  const std::size_t at = reader.offset();
  if (reader.left() < kAitLeast) return refuse(fmt::format("it ends within a record, at byte {}", at));
  const std::uint64_t id = reader.big_endian(4), description = reader.big_endian(8);
  if (reader.left() < 8 || description > reader.left() - 8)
    return refuse(fmt::format("it ends within the description at byte {}", at));
  reader.take(description);
  const std::uint64_t size = reader.big_endian(8);
  if (size < kMinBlockBytes || size > kMaxBlockBytes) {
    return refuse(
        fmt::format("the key at byte {} has {} bytes; accepted: {} to {}", at, size, kMinBlockBytes, kMaxBlockBytes));
  }
  if (reader.left() < size) return refuse(fmt::format("it ends within the key at byte {}", at));
  return Block{derived_block_id({"ait", link.str(), text_of(id)}), SecretBytes::copy_of(reader.take(size))};
}

using ReadBlock = Result<Block> (*)(const LinkId&, Reader&);

Result<std::vector<Block>> blocks_one_by_one(const LinkId& link, Bytes content, ReadBlock read) {
  if (content.empty()) return refuse("it is empty");
  std::vector<Block> blocks;
  for (Reader reader(content); reader.left() > 0;) {
    Result<Block> block = read(link, reader);
    if (!block) return std::unexpected(block.error());
    blocks.push_back(std::move(*block));
  }
  return blocks;
}

}  // namespace

Result<std::vector<Block>> blocks_of_file(FileFormat format, const LinkId& link, std::string_view file_name,
                                          const SecretBytes& content) {
  if (content.size() > kMaxFileBytes) return refuse(fmt::format("it has more than {} bytes", kMaxFileBytes));
  switch (format) {
    case FileFormat::kRaw:
      return raw_blocks(link, file_name, content.reveal());
    case FileFormat::kUuidRecords:
      return record_blocks(link, content.reveal());
    case FileFormat::kQcrypto:
      return blocks_one_by_one(link, content.reveal(), qcrypto_block);
    case FileFormat::kAit:
      return blocks_one_by_one(link, content.reveal(), ait_block);
  }
  return refuse("no such format");
}

}  // namespace qkms::drivers
