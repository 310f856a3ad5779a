#include "kms/divergence.h"

#include <fmt/format.h>

#include <optional>

namespace qkms::kms {
namespace {

// Whose store is another one than the other end remembers. The one that has met nobody is new; one that was put back
// still knows whom it had met.
std::optional<Finding> find_other_store(const api::Hello& mine, const api::Hello& theirs) {
  const std::string& name = theirs.sender.str();
  const bool mine_is_known = theirs.peer_incarnation == mine.incarnation;
  const bool theirs_is_known = mine.peer_incarnation == theirs.incarnation;
  if (mine.peer_incarnation == 0 && theirs.peer_incarnation != 0 && !mine_is_known)
    return Finding{Divergence::kOwnStoreLost, fmt::format("our store is new, and {} remembers an earlier one", name)};
  if (theirs.peer_incarnation == 0 && mine.peer_incarnation != 0 && !theirs_is_known)
    return Finding{Divergence::kPeerStoreLost, fmt::format("the store of {} is new: it has lost the one before", name)};
  if (theirs.peer_incarnation != 0 && !mine_is_known)
    return Finding{Divergence::kOwnStorePutBack, "our store was put back to an earlier state"};
  if (mine.peer_incarnation != 0 && !theirs_is_known)
    return Finding{Divergence::kPeerStorePutBack,
                   fmt::format("the store of {} was put back to an earlier state", name)};
  return std::nullopt;
}

std::optional<Finding> find_told(const api::Hello& theirs) {
  const auto told = [&](Divergence kind, std::string_view what) {
    return Finding{kind, fmt::format("{} {}", theirs.sender.str(), what)};
  };
  switch (theirs.doubt) {
    case api::Doubt::kNone:
      return std::nullopt;
    case api::Doubt::kRows:
      return told(Divergence::kPeerRowsMissing, "says that rows of its store are missing or do not open");
    case api::Doubt::kMark:
      return told(Divergence::kMarkNotOurs, "says that we gave back a mark which it did not make");
    case api::Doubt::kRange:
      return told(Divergence::kRangeNotAtFront, "says that we named ranges which were not next in turn");
    case api::Doubt::kExtent:
      return told(Divergence::kExtentDisputed, "says that we numbered or gave extents which were not ours to");
    case api::Doubt::kBlock:
      return told(Divergence::kBlockUnknown, "says that we decided on a block which it does not hold");
    case api::Doubt::kRecord:
      return told(Divergence::kRecordRepeated, "says that we used a record number twice");
    case api::Doubt::kAccounts:
      return told(Divergence::kAccountsDiffer, "says that its accounts and ours differ");
  }
  return std::nullopt;
}

// What the sender of some messages remembers of them, and how many of them the receiver has.
struct Numbers {
  std::uint64_t sent, acknowledged, received;
};

Finding find_forgotten(const api::Hello& mine, const api::Hello& theirs) {
  const std::string& name = theirs.sender.str();
  const Numbers ours{mine.sent, mine.acknowledged, theirs.received};
  const Numbers its{theirs.sent, theirs.acknowledged, mine.received};
  if (ours.received < ours.acknowledged)
    return {Divergence::kPeerForgot,
            fmt::format("{} has confirmed our message {} and now knows of {}", name, ours.acknowledged, ours.received)};
  if (its.received > its.sent)
    return {Divergence::kPeerForgot,
            fmt::format("{} has sent us message {} and now knows of {}", name, its.received, its.sent)};
  if (its.received < its.acknowledged)
    return {Divergence::kOwnForgot,
            fmt::format("we have confirmed message {} of {} and now know of {}", its.acknowledged, name, its.received)};
  return {Divergence::kOwnForgot,
          fmt::format("we have sent {} message {} and now know of {}", name, ours.received, ours.sent)};
}

}  // namespace

std::string_view name_of(Divergence kind) {
  switch (kind) {
    case Divergence::kPeerStoreLost:
      return "peer_store_lost";
    case Divergence::kPeerStorePutBack:
      return "peer_store_put_back";
    case Divergence::kOwnStoreLost:
      return "own_store_lost";
    case Divergence::kOwnStorePutBack:
      return "own_store_put_back";
    case Divergence::kPeerForgot:
      return "peer_messages_forgotten";
    case Divergence::kOwnForgot:
      return "own_messages_forgotten";
    case Divergence::kAgreementLost:
      return "agreement_lost";
    case Divergence::kOwnRowsMissing:
      return "own_rows_missing";
    case Divergence::kPeerRowsMissing:
      return "peer_rows_missing";
    case Divergence::kMarkNotOurs:
      return "mark_not_ours";
    case Divergence::kRangeNotAtFront:
      return "range_not_at_front";
    case Divergence::kExtentDisputed:
      return "extent_disputed";
    case Divergence::kBlockUnknown:
      return "block_unknown";
    case Divergence::kRecordRepeated:
      return "record_repeated";
    case Divergence::kAccountsDiffer:
      return "accounts_differ";
  }
  return "unknown";
}

api::Doubt doubt_of(Divergence kind) {
  switch (kind) {
    case Divergence::kOwnRowsMissing:
      return api::Doubt::kRows;
    case Divergence::kMarkNotOurs:
      return api::Doubt::kMark;
    case Divergence::kRangeNotAtFront:
      return api::Doubt::kRange;
    case Divergence::kExtentDisputed:
      return api::Doubt::kExtent;
    case Divergence::kBlockUnknown:
      return api::Doubt::kBlock;
    case Divergence::kRecordRepeated:
      return api::Doubt::kRecord;
    case Divergence::kAccountsDiffer:
      return api::Doubt::kAccounts;
    default:
      return api::Doubt::kNone;  // the Hellos show it themselves
  }
}

Finding find_divergence(const api::Hello& mine, const api::Hello& theirs) {
  if (auto found = find_other_store(mine, theirs)) return *std::move(found);
  if (auto found = find_told(theirs)) return *std::move(found);
  if (mine.pair_epoch != theirs.pair_epoch || mine.peer_incarnation == 0 || theirs.peer_incarnation == 0) {
    return {Divergence::kAgreementLost,
            fmt::format("one end gave the pair up before a restart, or could not store its beginning (pair epoch {} "
                        "here, {} at {})",
                        mine.pair_epoch, theirs.pair_epoch, theirs.sender.str())};
  }
  return find_forgotten(mine, theirs);
}

}  // namespace qkms::kms
