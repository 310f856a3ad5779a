// The bits that this KME shares with one peer, as extents, and the one door through which they leave.
//
// Operation: append() makes extents; take() moves bits out of our own, follow() does what the peer says that it took of
// its own; give() and receive() change the owner of extents that nobody has touched. Both ends apply the same steps in
// the same order, so they agree without a lock: only an extent's owner starts anything. Concurrency: the engine's
// thread. Sizes: bytes, but for the ledger, which counts bits.
#pragma once

#include <limits>
#include <map>
#include <set>
#include <vector>

#include "kms/batch.h"

namespace qkms::kms {

// An extent is sealed and wiped as a whole, so its size bounds how long used bits stay on the disk beside unused ones.
inline constexpr std::size_t kMaxExtentBytes = 16 * 1024;

// Bits that came in before this moment will not do. kAnyAge: all will.
inline constexpr Millis kAnyAge = std::numeric_limits<Millis>::min();

struct Taken {
  std::vector<Range> ranges;
  SecretBytes bits;  // of the ranges, in their order
};

class Reservoir {
 public:
  // `extents` are this peer's, by id. At most about `cache_bytes` of their bits are kept in memory; the store has them
  // all.
  Reservoir(KmeId peer, Ledger ledger, std::uint64_t next_extent, const std::vector<ExtentRow>& extents,
            std::size_t cache_bytes);

  std::uint64_t available(Owner owner) const { return available_[index(owner)]; }
  std::size_t extents(Owner owner) const { return by_owner_[index(owner)].size(); }
  // Of numbers, owners, sizes and fronts of all extents; equal at both ends if both name the same end as `leader`.
  api::Tag128 digest(Owner leader) const;
  // Whether so much of our own came in since then.
  bool has_since(std::uint64_t bytes, Millis not_before) const;
  const Ledger& ledger() const { return ledger_; }
  std::uint64_t next_extent() const { return next_extent_; }

  // Which bits the store must load before `bytes` can be taken from the front, or before these ranges or extents can be
  // used.
  void need_front(std::uint64_t bytes, Millis not_before, Needs& needs) const;
  void need(const std::vector<Range>& ranges, Needs& needs) const;
  void need(const std::vector<std::uint64_t>& extents, Needs& needs) const;

  // Cuts bits that both ends hold into extents: the first `first_part` bytes are `first_owner`'s, the rest the other's.
  // Returns the first id.
  std::uint64_t append(std::span<const std::uint8_t> bits, std::size_t first_part, Owner first_owner, Batch& batch);
  // As append, under the number that the peer chose. kInvalid when that is not after all others.
  Result<void> append_at(std::uint64_t first_extent, std::span<const std::uint8_t> bits, std::size_t first_part,
                         Owner first_owner, Batch& batch);

  // The door. Oldest bits first, but for `not_before`. kPoolExhausted: nothing was taken. `bytes` > 0.
  Result<Taken> take(std::uint64_t bytes, Purpose purpose, Millis not_before, Batch& batch);
  // The same ranges as the owner, our peer, took them. kInvalid: they are not the fronts of its extents; nothing was
  // taken. kCorrupt: they were, but our copy cannot be read; they are burned here.
  Result<SecretBytes> follow(const std::vector<Range>& ranges, Purpose purpose, Batch& batch);
  // What is left of an extent of ours becomes unusable. Nothing happens when it is not there.
  void burn_rest(std::uint64_t extent);
  // What take() and burn_rest() have burned of our own: the peer must be told. Empties the list.
  std::vector<Range> burned_of_own() { return std::exchange(burned_of_own_, {}); }

  // Untouched extents of ours, from the back, of at most `bytes` together, become the peer's.
  std::vector<std::uint64_t> give(std::uint64_t bytes);
  Result<void> receive(const std::vector<std::uint64_t>& extents);

  // The pair starts afresh: nothing here may be used any more, and new extents are numbered apart from all old ones.
  void burn_all(std::uint64_t pair_epoch);

  // Extents that the ledger knows of and that are not here count as burned. Returns whether there were any.
  bool burn_missing();

  // Of the next `bytes`, how many should be ours so that what is available to each end follows what each has taken of
  // late.
  std::uint32_t own_share_of_next(std::uint32_t bytes) const;
  void forget_half_of_demand();

  // Ledger entries for blocks, and between the columns.
  void count_block(std::uint64_t bytes, std::uint64_t Ledger::* rest_column);
  void move(std::uint64_t bytes, std::uint64_t Ledger::* from, std::uint64_t Ledger::* to);

  // Hands the changed extents to the batch. Returns whether the ledger changed since the last time.
  bool flush(Batch& batch);

 private:
  struct Extent {
    Owner owner;
    std::uint32_t size;
    std::uint32_t front;
    Millis since;      // when it came in; kAnyAge: before our start, and we do not know for how long we were down
    SecretBytes bits;  // empty: only the store has them
    std::uint32_t left() const { return size - front; }
  };
  using Extents = std::map<std::uint64_t, Extent>;

  std::set<std::uint64_t>::const_iterator first_to_take(std::uint64_t bytes, Millis not_before) const;
  static std::size_t index(Owner owner) { return static_cast<std::size_t>(owner); }
  bool make_readable(std::uint64_t id, Extent& extent, Batch& batch);
  void advance(std::uint64_t id, std::uint32_t bytes, Purpose purpose, SecretBytes* out, std::size_t out_at);
  void drop_used(std::uint64_t id);
  void append_run(std::span<const std::uint8_t> bits, Owner owner, Batch& batch);
  bool follows_fronts(const std::vector<Range>& ranges) const;
  void uncache(Extent& extent);
  void trim_cache();

  KmeId peer_;
  Ledger ledger_;
  std::uint64_t next_extent_;
  std::size_t cache_bytes_;
  std::size_t cached_ = 0;
  Extents extents_;
  std::set<std::uint64_t> by_owner_[2];
  std::uint64_t available_[2] = {0, 0};
  std::uint64_t demand_[2] = {0, 0};  // bytes taken for keys and pads, older ones counting less
  std::set<std::uint64_t> changed_;
  std::set<std::uint64_t> gone_;
  std::vector<std::uint64_t> appended_;  // in this batch
  std::vector<Range> burned_of_own_;
  bool ledger_changed_ = false;
};

}  // namespace qkms::kms
