// Blocks that wait for the other end, and the IDs of those that have been. See sqlite_tables.h.
#include <algorithm>

#include "storage/sqlite_tables.h"

namespace qkms::storage {
namespace {

AssociatedData place_of(std::string_view link, Bytes block, Millis received_at) {
  AssociatedData place("block");
  place.text(link).bytes(block).number(static_cast<std::uint64_t>(received_at));
  return place;
}

// Numbers that count up stand in no seal. None comes near this one, so adding to them is safe.
constexpr std::int64_t kMaxCount = std::int64_t{1} << 62;

std::optional<BlockId> block_id(std::span<const std::uint8_t> bytes) {
  BlockId::Bytes id;
  if (bytes.size() != id.size()) return std::nullopt;
  std::ranges::copy(bytes, id.begin());
  return BlockId(id);
}

}  // namespace

const SealedColumn kBlockSeal{.table = "block",
                              .key = {"number", "0"},
                              .group = "link",
                              .column = "bits",
                              .fields = "block, received_at",
                              .place = [](const std::string& link, const Statement& row, int at) {
                                return place_of(link, row.blob(at), row.integer(at + 1));
                              }};

BlockTable::BlockTable(const TableContext& context)
    : seals_(context.seals),
      names_(context.names),
      add_(context.database, "INSERT INTO block VALUES (?, ?, ?, ?, ?)"),
      select_header_(context.database, "SELECT " + header_of("bits") + " FROM block WHERE number = ?"),
      drop_(context.database, "DELETE FROM block WHERE number = ?"),
      select_(context.database, "SELECT link, block, received_at, bits FROM block ORDER BY number"),
      select_index_(context.database, "SELECT number, link, block FROM block ORDER BY number") {}

Result<void> BlockTable::load_index() {
  return select_index_.for_each([this](Statement& row) -> Result<bool> {
    if (row.integer(0) < 1 || row.integer(0) > kMaxCount) return not_as_written("block", "a number is out of range");
    next_number_ = row.integer(0) + 1;
    const std::optional<BlockId> block = block_id(row.blob(2));
    // Two rows of one block: whoever drops it would drop the wrong one, and it would come again.
    if (block && !numbers_.emplace(std::pair(row.integer(1), *block), row.integer(0)).second)
      return not_as_written("block", "a block is there twice");
    return true;
  });
}

Result<void> BlockTable::add(const kms::BlockRow& row) {
  const Result<std::int64_t> link = names_.number_of(row.link.str());
  if (!link) return std::unexpected(link.error());
  if (!numbers_.emplace(std::pair(*link, row.block), next_number_).second) {
    return fail(ErrorCode::kInternal, "a block is stored a second time");
  }
  const Result<Sealed> sealed =
      seals_.seal(*link, place_of(row.link.str(), row.block.bytes(), row.received_at), row.bits.reveal());
  if (!sealed) return std::unexpected(sealed.error());
  return add_.run(next_number_++, *link, std::span<const std::uint8_t>(row.block.bytes()), row.received_at,
                  std::span(*sealed));
}

Result<void> BlockTable::drop(const LinkId& link, const BlockId& block) {
  const std::optional<std::int64_t> number = names_.find(link.str());
  if (!number) return {};
  const auto found = numbers_.find(std::pair(*number, block));
  if (found == numbers_.end()) return {};
  const std::int64_t row = found->second;
  numbers_.erase(found);
  return seals_.drop(*number, select_header_, drop_, row);
}

Result<void> BlockTable::load(kms::Snapshot& snapshot) {
  return select_.for_each([this, &snapshot](Statement& row) -> Result<bool> {
    const std::string* const text = names_.text_of(row.integer(0));
    const Result<LinkId> link = LinkId::parse(text == nullptr ? "" : *text);
    const std::optional<BlockId> block = block_id(row.blob(1));
    if (!link || !block) {
      ++snapshot.unreadable;
      return true;
    }
    Result<SecretBytes> bits = seals_.open(place_of(*text, block->bytes(), row.integer(2)), row.blob(3));
    if (bits) {
      snapshot.blocks.push_back({*link, *block, row.integer(2), std::move(*bits)});
    } else if (bits.error().code == ErrorCode::kCorrupt) {
      ++snapshot.unreadable;
    } else {
      return std::unexpected(bits.error());
    }
    return true;
  });
}

SeenBlockTable::SeenBlockTable(const TableContext& context)
    : names_(context.names),
      add_(context.database, "INSERT INTO seen_block VALUES (?, ?, ?)"),
      drop_(context.database, "DELETE FROM seen_block WHERE link = ? AND position <= ?"),
      select_(context.database, "SELECT link, block FROM seen_block ORDER BY link, position"),
      select_positions_(context.database, "SELECT link, min(position), max(position) FROM seen_block GROUP BY link") {}

Result<void> SeenBlockTable::load_positions() {
  return select_positions_.for_each([this](Statement& row) -> Result<bool> {
    if (row.integer(1) < 0 || row.integer(2) > kMaxCount)
      return not_as_written("seen_block", "a position is out of range");
    next_positions_.emplace(row.integer(0), row.integer(2) + 1);
    return true;
  });
}

Result<void> SeenBlockTable::add(const kms::SeenBlock& seen) {
  const Result<std::int64_t> link = names_.number_of(seen.link.str());
  if (!link) return std::unexpected(link.error());
  const std::int64_t position = next_positions_[*link]++;
  Result<void> added = add_.run(*link, position, std::span<const std::uint8_t>(seen.block.bytes()));
  if (!added) return added;
  return drop_.run(*link, position - static_cast<std::int64_t>(kms::kSeenBlocksPerLink));
}

Result<void> SeenBlockTable::load(kms::Snapshot& snapshot) {
  std::map<LinkId, std::vector<kms::SeenBlock>> by_link;
  const auto take = [this, &snapshot, &by_link](Statement& row) -> Result<bool> {
    const std::string* const text = names_.text_of(row.integer(0));
    const Result<LinkId> link = LinkId::parse(text == nullptr ? "" : *text);
    const std::optional<BlockId> block = block_id(row.blob(1));
    if (link && block) {
      by_link[*link].push_back({*link, *block});
    } else {
      ++snapshot.unreadable;
    }
    return true;
  };
  if (Result<void> loaded = select_.for_each(take); !loaded) return loaded;
  for (const auto& [link, seen] : by_link) {
    snapshot.seen_blocks.insert(snapshot.seen_blocks.end(), seen.begin(), seen.end());
  }
  return {};
}

}  // namespace qkms::storage
