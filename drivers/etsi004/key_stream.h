// What has come of one key stream, and the blocks that its chunks make: a chunk of at least kMinBlockBytes is a block;
// shorter ones are put together in groups of a fixed number, counted from index 0, so that both ends group alike
// whatever each of them misses. The block's ID is derived from link, stream, chunk size and first index. Pure.
//
// Concurrency: one thread.
// What would surprise: it never asks for an index again, not even for one whose answer did not come: the device may
// have used it up. Bits under the same index would be the same at best.
#pragma once

#include <cstdint>
#include <optional>

#include "drivers/driver.h"
#include "drivers/etsi004/messages.h"

namespace qkms::drivers::etsi004 {

class KeyStream {
 public:
  static constexpr std::size_t kGroupBytes = 256;  // at least

  KeyStream(LinkId link, const StreamId& id) : link_(std::move(link)), id_(id) {}

  const StreamId& id() const { return id_; }
  std::uint64_t chunks() const { return chunks_; }
  std::uint64_t missed() const { return missed_; }  // indices that were passed over, from the first chunk on

  // As the device granted it, 1 to kMaxChunkBytes. A group that was begun with another size is given up.
  void set_chunk_bytes(std::size_t size);
  // The index to ask for. Nothing: there are no more.
  std::optional<std::uint32_t> next() const;
  // The answer to next() will not come, or is not to be trusted.
  void lose_next() { ++next_; }
  // What the device gave when asked for next(). Nothing: it is a part of a group. kInvalid: it is not wanted, and gone
  // (an index that was given up before, or a wrong size). kCorrupt: an index that was there before: the device and we
  // are no longer in step, and the stream must not be used any more.
  Result<std::optional<Block>> take(std::uint32_t index, SecretBytes chunk);

 private:
  std::optional<Block> collect(std::uint32_t index, const SecretBytes& chunk);
  BlockId block_id(std::uint32_t first_index) const;

  const LinkId link_;
  const StreamId id_;
  std::size_t chunk_bytes_ = 0;
  std::size_t group_chunks_ = 1;
  std::uint64_t next_ = 0;      // may be one more than the last index
  std::uint64_t received_ = 0;  // every index below has come or will never be taken
  std::uint64_t chunks_ = 0, missed_ = 0;
  SecretBytes group_;        // empty: none is being put together
  std::size_t grouped_ = 0;  // chunks in it
  std::uint64_t group_first_ = 0;
};

}  // namespace qkms::drivers::etsi004
