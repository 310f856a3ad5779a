#include "kms/accounts.h"

#include <fmt/format.h>

namespace qkms::kms {
namespace {

api::Accounts::Side side_of(const Reservoir& reservoir, Owner owner) {
  return {reservoir.extents(owner), reservoir.available(owner) * 8};
}

// 81920 → "81 920".
std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ' ');
  return digits;
}

std::string total_of(const api::Accounts& accounts) { return grouped(accounts.own.bits + accounts.peer.bits); }
std::uint64_t extents_of(const api::Accounts& accounts) { return accounts.own.extents + accounts.peer.extents; }

std::optional<std::string> available_difference(const api::Accounts& ours, const api::Accounts& theirs,
                                                const KmeId& peer) {
  const std::string mine =
      fmt::format("this KME has {} bits available in {} extents", total_of(ours), extents_of(ours));
  if (ours.own.bits + ours.peer.bits != theirs.own.bits + theirs.peer.bits || extents_of(ours) != extents_of(theirs))
    return fmt::format("{}, {} says {} in {}", mine, peer.str(), total_of(theirs), extents_of(theirs));
  if (ours.own != theirs.peer || ours.peer != theirs.own) {
    return fmt::format("{}, and so has {}; but here {} of them are this KME's own, there {}", mine, peer.str(),
                       grouped(ours.own.bits), grouped(theirs.peer.bits));
  }
  if (ours.digest != theirs.digest) return fmt::format("{}, and so has {}, but not the same ones", mine, peer.str());
  return std::nullopt;
}

}  // namespace

api::Accounts accounts_of(const Reservoir& reservoir, std::uint64_t sent, Owner leader) {
  const Ledger& ledger = reservoir.ledger();
  return {sent,
          ledger.in,
          ledger.macs,
          ledger.quarantined,
          side_of(reservoir, Owner::kSelf),
          side_of(reservoir, Owner::kPeer),
          reservoir.digest(leader)};
}

std::optional<std::string> Comparison::difference(const api::Accounts& ours, const api::Accounts& theirs,
                                                  const KmeId& peer) {
  if (auto found = available_difference(ours, theirs, peer)) return found;
  const Both now{{ours.in, ours.macs, ours.quarantined}, {theirs.in, theirs.macs, theirs.quarantined}};
  if (!first_) first_ = now;
  const std::pair<const char*, std::uint64_t Columns::*> columns[] = {
      {"came in", &Columns::in}, {"went into MACs", &Columns::macs}, {"were quarantined", &Columns::quarantined}};
  for (const auto& [what, column] : columns) {
    const std::uint64_t here = now.ours.*column - first_->ours.*column;
    const std::uint64_t there = now.theirs.*column - first_->theirs.*column;
    if (here != there)
      return fmt::format("{} bits {} here since the first comparison, {} says {}", grouped(here), what, peer.str(),
                         grouped(there));
  }
  return std::nullopt;
}

}  // namespace qkms::kms
