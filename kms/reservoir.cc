#include "kms/reservoir.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>

#include "kms/planted_bug.h"

namespace qkms::kms {
namespace {

std::uint64_t Ledger::* column_of(Purpose purpose, Owner owner) {
  switch (purpose) {
    case Purpose::kDelivery:
      return owner == Owner::kSelf ? &Ledger::in_flight : &Ledger::held;
    case Purpose::kPad:
      return &Ledger::pads;
    case Purpose::kBurn:
      return &Ledger::burned;
  }
  return &Ledger::burned;
}

// A block is a few extents, so what follows the last of these numbers does not overflow.
constexpr std::uint64_t kExtentNumbers = std::numeric_limits<std::uint64_t>::max() - (1ULL << 32);

Owner other(Owner owner) { return owner == Owner::kSelf ? Owner::kPeer : Owner::kSelf; }

}  // namespace

Reservoir::Reservoir(KmeId peer, Ledger ledger, std::uint64_t next_extent, const std::vector<ExtentRow>& extents,
                     std::size_t cache_bytes)
    : peer_(std::move(peer)), ledger_(ledger), next_extent_(next_extent), cache_bytes_(cache_bytes) {
  for (const ExtentRow& row : extents) {
    extents_.emplace(row.id, Extent{row.owner, row.size, row.front, kAnyAge, {}});
    by_owner_[index(row.owner)].insert(row.id);
    available_[index(row.owner)] += row.size - row.front;
  }
}

// SHA-256, cut to 16 bytes. It fails only without memory, and then there is nothing that may be said.
api::Tag128 Reservoir::digest(Owner leader) const {
  std::vector<std::uint8_t> text;
  const auto append = [&text](std::uint64_t number) {
    for (int shift = 56; shift >= 0; shift -= 8) text.push_back(static_cast<std::uint8_t>(number >> shift));
  };
  for (const auto& [id, extent] : extents_) {
    append(id);
    append(extent.owner == leader ? 0 : 1);
    append(std::uint64_t{extent.size} << 32 | extent.front);
  }
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> whole{};
  if (EVP_Digest(text.data(), text.size(), whole.data(), nullptr, EVP_sha256(), nullptr) != 1) std::abort();
  api::Tag128 digest{};
  std::copy_n(whole.begin(), digest.size(), digest.begin());
  return digest;
}

// --- what has to be loaded
// ---------------------------------------------------------------------------------------------------------

// Extents are numbered as they come in, so those of one age or less are the last ones; of these, as many as are needed.
std::set<std::uint64_t>::const_iterator Reservoir::first_to_take(std::uint64_t bytes, Millis not_before) const {
  const auto& own = by_owner_[index(Owner::kSelf)];
  if (not_before == kAnyAge) return own.begin();
  auto at = own.end();
  for (std::uint64_t found = 0; at != own.begin() && found < bytes; --at) {
    const Extent& extent = extents_.at(*std::prev(at));
    if (extent.since < not_before) break;
    found += extent.left();
  }
  return at;
}

bool Reservoir::has_since(std::uint64_t bytes, Millis not_before) const {
  std::uint64_t found = 0;
  const auto end = by_owner_[index(Owner::kSelf)].end();
  for (auto at = first_to_take(bytes, not_before); at != end && found < bytes; ++at) found += extents_.at(*at).left();
  return found >= bytes;
}

void Reservoir::need_front(std::uint64_t bytes, Millis not_before, Needs& needs) const {
  const auto end = by_owner_[index(Owner::kSelf)].end();
  for (auto at = first_to_take(bytes, not_before); at != end; ++at) {
    const std::uint64_t id = *at;
    const Extent& extent = extents_.at(id);
    if (extent.bits.empty()) needs.extent_bits.insert({peer_, id});
    if (extent.left() >= bytes) return;
    bytes -= extent.left();
  }
}

void Reservoir::need(const std::vector<Range>& ranges, Needs& needs) const {
  for (const Range& range : ranges) need(std::vector{range.extent}, needs);
}

void Reservoir::need(const std::vector<std::uint64_t>& extents, Needs& needs) const {
  for (std::uint64_t id : extents) {
    const auto found = extents_.find(id);
    if (found != extents_.end() && found->second.bits.empty()) needs.extent_bits.insert({peer_, id});
  }
}

bool Reservoir::make_readable(std::uint64_t id, Extent& extent, Batch& batch) {
  if (!extent.bits.empty()) return true;
  const auto loaded = batch.loaded.extent_bits.find({peer_, id});
  if (loaded == batch.loaded.extent_bits.end() || loaded->second.size() != extent.size) return false;
  extent.bits = std::move(loaded->second);
  batch.loaded.extent_bits.erase(loaded);
  cached_ += extent.size;
  return true;
}

void Reservoir::uncache(Extent& extent) {
  if (extent.bits.empty()) return;
  cached_ -= extent.size;
  extent.bits.clear();
}

// --- in
// ----------------------------------------------------------------------------------------------------------------------------

std::uint64_t Reservoir::append(std::span<const std::uint8_t> bits, std::size_t first_part, Owner first_owner,
                                Batch& batch) {
  const std::uint64_t first = next_extent_;
  append_run(bits.first(first_part), first_owner, batch);
  append_run(bits.subspan(first_part), other(first_owner), batch);
  return first;
}

Result<void> Reservoir::append_at(std::uint64_t first_extent, std::span<const std::uint8_t> bits,
                                  std::size_t first_part, Owner first_owner, Batch& batch) {
  if (first_extent < next_extent_) return fail(ErrorCode::kInvalid, "the peer numbers new extents like old ones");
  if (first_extent >= kExtentNumbers)
    return fail(ErrorCode::kInvalid, "the peer numbers new extents beyond all bounds");
  next_extent_ = first_extent;
  append(bits, first_part, first_owner, batch);
  return {};
}

void Reservoir::append_run(std::span<const std::uint8_t> bits, Owner owner, Batch& batch) {
  while (!bits.empty()) {
    const auto part = bits.first(std::min(bits.size(), kMaxExtentBytes));
    bits = bits.subspan(part.size());
    const std::uint64_t id = next_extent_++;
    const auto size = static_cast<std::uint32_t>(part.size());
    batch.changes.new_extents.emplace_back(ExtentRow{peer_, id, owner, size, 0}, SecretBytes::copy_of(part));
    extents_.emplace(id, Extent{owner, size, 0, batch.now, SecretBytes::copy_of(part)});
    cached_ += size;
    appended_.push_back(id);
    by_owner_[index(owner)].insert(id);
    available_[index(owner)] += size;
  }
}

void Reservoir::count_block(std::uint64_t bytes, std::uint64_t Ledger::* rest_column) {
  constexpr std::uint64_t kMacBits = 32 * 8;
  ledger_.in += bytes * 8;
  ledger_.macs += kMacBits;
  if (rest_column != nullptr) ledger_.*rest_column += bytes * 8 - kMacBits;
  ledger_changed_ = true;
}

void Reservoir::move(std::uint64_t bytes, std::uint64_t Ledger::* from, std::uint64_t Ledger::* to) {
  assert(ledger_.*from >= bytes * 8);
  ledger_.*from -= bytes * 8;
  ledger_.*to += bytes * 8;
  ledger_changed_ = true;
}

// --- out
// ---------------------------------------------------------------------------------------------------------------------------

// The only code that moves an extent's front.
void Reservoir::advance(std::uint64_t id, std::uint32_t bytes, Purpose purpose, SecretBytes* out, std::size_t out_at) {
  Extent& extent = extents_.at(id);
  if (out != nullptr)
    std::memcpy(out->reveal_mutable().data() + out_at, extent.bits.reveal().data() + extent.front, bytes);
  if (planted(Bug::kReuseRange) && extent.front == 0 && bytes >= 16) {
    extent.front += bytes - 8;
    available_[index(extent.owner)] -= bytes - 8;
  } else {
    if (!extent.bits.empty()) wipe(extent.bits.reveal_mutable().subspan(extent.front, bytes));
    extent.front += bytes;
    available_[index(extent.owner)] -= bytes;
  }
  ledger_.*column_of(purpose, extent.owner) += std::uint64_t{bytes} * 8;
  if (purpose != Purpose::kBurn) demand_[index(extent.owner)] += bytes;
  ledger_changed_ = true;
  changed_.insert(id);
}

void Reservoir::drop_used(std::uint64_t id) {
  Extent& extent = extents_.at(id);
  if (extent.left() != 0) return;
  uncache(extent);
  by_owner_[index(extent.owner)].erase(id);
  extents_.erase(id);
  changed_.erase(id);
  gone_.insert(id);
}

void Reservoir::burn_rest(std::uint64_t extent) {
  const auto found = extents_.find(extent);
  if (found == extents_.end() || found->second.owner != Owner::kSelf) return;
  burned_of_own_.push_back({extent, found->second.front, found->second.left()});
  advance(extent, found->second.left(), Purpose::kBurn, nullptr, 0);
  drop_used(extent);
}

Result<Taken> Reservoir::take(std::uint64_t bytes, Purpose purpose, Millis not_before, Batch& batch) {
  assert(bytes > 0);
  Taken taken;
  std::uint64_t found = 0;
  // First all that is needed is found readable, then it is taken: an error leaves everything where it was.
  const auto end = by_owner_[index(Owner::kSelf)].end();
  for (auto at = first_to_take(bytes, not_before); at != end && found < bytes;) {
    const std::uint64_t id = *at++;
    Extent& extent = extents_.at(id);
    if (!make_readable(id, extent, batch)) {
      if (!batch.asked.extent_bits.contains({peer_, id}))
        return fail(ErrorCode::kOverloaded, "the bits are not loaded yet");
      batch.notice(NoticeKind::kUnreadableRow, peer_.str(),
                   "an extent's bits cannot be read from the store; they are burned");
      batch.cause(peer_, "they cannot be read from the store");
      burn_rest(id);
      continue;
    }
    const auto part = static_cast<std::uint32_t>(std::min<std::uint64_t>(extent.left(), bytes - found));
    taken.ranges.push_back({id, extent.front, part});
    found += part;
  }
  if (found < bytes || taken.ranges.size() > api::kMaxRangesPerMessage) {
    return fail(ErrorCode::kPoolExhausted, "not enough key in the reservoir");
  }
  taken.bits = SecretBytes(bytes);
  std::size_t at = 0;
  for (const Range& range : taken.ranges) {
    advance(range.extent, range.size, purpose, &taken.bits, at);
    drop_used(range.extent);
    at += range.size;
  }
  return taken;
}

bool Reservoir::follows_fronts(const std::vector<Range>& ranges) const {
  std::set<std::uint64_t> named;
  return std::ranges::all_of(ranges, [&](const Range& range) {
    const auto found = extents_.find(range.extent);
    return found != extents_.end() && found->second.owner == Owner::kPeer && found->second.front == range.offset &&
           range.size > 0 && range.size <= found->second.left() && named.insert(range.extent).second;
  });
}

Result<SecretBytes> Reservoir::follow(const std::vector<Range>& ranges, Purpose purpose, Batch& batch) {
  if (!follows_fronts(ranges))
    return fail(ErrorCode::kInvalid, "the peer names ranges that are not at the fronts of its extents");
  std::size_t bytes = 0;
  bool readable = true;
  for (const Range& range : ranges) {
    bytes += range.size;
    if (purpose != Purpose::kBurn) readable = make_readable(range.extent, extents_.at(range.extent), batch) && readable;
  }
  const bool wanted = readable && purpose != Purpose::kBurn;
  SecretBytes bits(wanted ? bytes : 0);
  std::size_t at = 0;
  for (const Range& range : ranges) {
    advance(range.extent, range.size, wanted ? purpose : Purpose::kBurn, wanted ? &bits : nullptr, at);
    drop_used(range.extent);
    at += range.size;
  }
  if (!readable) {
    batch.notice(NoticeKind::kUnreadableRow, peer_.str(),
                 "an extent's bits cannot be read from the store; what the peer took of it is burned");
    batch.cause(peer_, "they cannot be read from the store");
    return fail(ErrorCode::kCorrupt, "our copy of the bits cannot be read");
  }
  return bits;
}

// --- ownership
// ---------------------------------------------------------------------------------------------------------------------

std::vector<std::uint64_t> Reservoir::give(std::uint64_t bytes) {
  std::vector<std::uint64_t> given;
  std::uint64_t total = 0;
  auto& ours = by_owner_[index(Owner::kSelf)];
  for (auto at = ours.rbegin(); at != ours.rend() && given.size() < api::kMaxExtentsPerMessage; ++at) {
    const Extent& extent = extents_.at(*at);
    if (extent.front != 0) continue;
    if (total + extent.size > bytes) break;
    total += extent.size;
    given.push_back(*at);
  }
  for (std::uint64_t id : given) {
    Extent& extent = extents_.at(id);
    ours.erase(id);
    by_owner_[index(Owner::kPeer)].insert(id);
    extent.owner = Owner::kPeer;
    changed_.insert(id);
  }
  available_[index(Owner::kSelf)] -= total;
  available_[index(Owner::kPeer)] += total;
  return given;
}

Result<void> Reservoir::receive(const std::vector<std::uint64_t>& extents) {
  auto& theirs = by_owner_[index(Owner::kPeer)];
  const std::set<std::uint64_t> named(extents.begin(), extents.end());
  const bool good = named.size() == extents.size() && std::ranges::all_of(extents, [&](std::uint64_t id) {
                      return theirs.contains(id) && extents_.at(id).front == 0;
                    });
  if (!good) return fail(ErrorCode::kInvalid, "the peer gives extents that are not its own, or not untouched");
  for (std::uint64_t id : extents) {
    if (planted(Bug::kKeepGiven) && id == extents.back()) continue;
    Extent& extent = extents_.at(id);
    extent.owner = Owner::kSelf;
    theirs.erase(id);
    by_owner_[index(Owner::kSelf)].insert(id);
    available_[index(Owner::kPeer)] -= extent.size;
    available_[index(Owner::kSelf)] += extent.size;
    changed_.insert(id);
  }
  return {};
}

void Reservoir::burn_all(std::uint64_t pair_epoch) {
  next_extent_ = std::max(next_extent_, pair_epoch << 32);
  std::vector<std::uint64_t> all;
  for (const auto& [id, extent] : extents_) all.push_back(id);
  for (std::uint64_t id : all) {
    advance(id, extents_.at(id).left(), Purpose::kBurn, nullptr, 0);
    drop_used(id);
  }
}

bool Reservoir::burn_missing() {
  const Ledger& l = ledger_;
  const std::uint64_t gone =
      l.macs + l.quarantined + l.in_flight + l.held + l.delivered + l.pads + l.burned + l.expired;
  const std::uint64_t here = (available_[0] + available_[1]) * 8;
  if (gone + here >= l.in) return false;
  ledger_.burned += l.in - gone - here;
  ledger_changed_ = true;
  return true;
}

std::uint32_t Reservoir::own_share_of_next(std::uint32_t bytes) const {
  constexpr std::uint64_t kGrain = 32;  // a usual key: no extent ends inside one
  constexpr double kLeast = 0.1;        // an end that took nothing so far may want some any moment
  const double demand = static_cast<double>(demand_[0] + demand_[1]);
  const double weight = demand == 0 ? 0.5 : std::clamp(static_cast<double>(demand_[0]) / demand, kLeast, 1 - kLeast);
  const double target =
      weight * static_cast<double>(available_[0] + available_[1] + bytes) - static_cast<double>(available_[0]);
  const auto share = static_cast<std::uint64_t>(std::clamp(target, 0.0, static_cast<double>(bytes)));
  return static_cast<std::uint32_t>(share / kGrain * kGrain);
}

void Reservoir::forget_half_of_demand() {
  for (std::uint64_t& demand : demand_) demand /= 2;
}

// The store does not have new bits before the batch is committed, and events of the same batch may want them: so the
// cache's limit holds from here on.
void Reservoir::trim_cache() {
  for (std::uint64_t id : std::exchange(appended_, {})) {
    const auto found = extents_.find(id);
    if (found != extents_.end() && cached_ > cache_bytes_) uncache(found->second);
  }
}

bool Reservoir::flush(Batch& batch) {
  trim_cache();
  for (std::uint64_t id : std::exchange(changed_, {})) {
    const Extent& extent = extents_.at(id);
    batch.changes.moved_extents.push_back({peer_, id, extent.owner, extent.size, extent.front});
  }
  for (std::uint64_t id : std::exchange(gone_, {})) batch.changes.dropped_extents.push_back({peer_, id});
  return std::exchange(ledger_changed_, false);
}

}  // namespace qkms::kms
