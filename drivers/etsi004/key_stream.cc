#include "drivers/etsi004/key_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <limits>
#include <string>
#include <utility>

#include "base/text.h"
#include "drivers/block_id.h"

namespace qkms::drivers::etsi004 {

void KeyStream::set_chunk_bytes(std::size_t size) {
  assert(size >= 1 && size <= kMaxChunkBytes);
  if (size == chunk_bytes_) return;
  chunk_bytes_ = size;
  group_chunks_ = size >= kMinBlockBytes ? 1 : (kGroupBytes + size - 1) / size;
  group_.clear();
}

std::optional<std::uint32_t> KeyStream::next() const {
  if (next_ > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return static_cast<std::uint32_t>(next_);
}

Result<std::optional<Block>> KeyStream::take(std::uint32_t index, SecretBytes chunk) {
  if (index < received_)
    return fail(ErrorCode::kCorrupt, fmt::format("the device gives chunk {} when asked for {}", index, next_));
  if (index < next_) return fail(ErrorCode::kInvalid, fmt::format("chunk {} comes late, after it was given up", index));
  if (chunks_ > 0) missed_ += index - received_;
  next_ = received_ = std::uint64_t{index} + 1;
  if (chunk.size() != chunk_bytes_) {
    return fail(ErrorCode::kInvalid,
                fmt::format("chunk {} has {} bytes instead of {}", index, chunk.size(), chunk_bytes_));
  }
  ++chunks_;
  if (group_chunks_ == 1) return Block{block_id(index), std::move(chunk)};
  return collect(index, chunk);
}

std::optional<Block> KeyStream::collect(std::uint32_t index, const SecretBytes& chunk) {
  const std::size_t place = index % group_chunks_;
  if (group_.empty() || index != group_first_ + grouped_) {  // there is none, or one of its chunks is missing
    group_.clear();
    if (place != 0) return std::nullopt;
    group_ = SecretBytes(group_chunks_ * chunk_bytes_);
    group_first_ = index;
    grouped_ = 0;
  }
  std::ranges::copy(chunk.reveal(), group_.reveal_mutable().subspan(place * chunk_bytes_).begin());
  if (++grouped_ < group_chunks_) return std::nullopt;
  return Block{block_id(static_cast<std::uint32_t>(group_first_)), std::exchange(group_, {})};
}

BlockId KeyStream::block_id(std::uint32_t first_index) const {
  return derived_block_id(
      {"etsi004", link_.str(), to_hex(id_), std::to_string(chunk_bytes_), std::to_string(first_index)});
}

}  // namespace qkms::drivers::etsi004
