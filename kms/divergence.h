// Why two KMEs that share a reservoir cannot go on with it, and burn it: one closed set, named alike in the log, the
// audit log, the metrics and docs/operations/divergence.md.
//
// Concurrency: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "api/peer/message.h"

namespace qkms::kms {

enum class Divergence {
  kPeerStoreLost,     // its store is new
  kPeerStorePutBack,  // its store found that it was an old copy
  kOwnStoreLost,      // ours is new
  kOwnStorePutBack,   // ours was an old copy
  kPeerForgot,        // it does not know messages that we remember
  kOwnForgot,         // the other way round
  kAgreementLost,     // one end has given the pair up, or begun an epoch that the other did not get to store, and
                      // a restart has forgotten why
  kOwnRowsMissing,    // rows of our store are missing or do not open
  kPeerRowsMissing,
  kMarkNotOurs,      // what one gives back as the other's mark is none
  kRangeNotAtFront,  // one took bits that were not next in turn
  kExtentDisputed,   // one numbered or gave an extent that it could not
  kBlockUnknown,     // one decided on a block that the other does not hold
  kRecordRepeated,   // one used a record number twice
  kAccountsDiffer,   // nothing was seen to go wrong, and yet they say different things
};
inline constexpr std::size_t kDivergences = static_cast<std::size_t>(Divergence::kAccountsDiffer) + 1;
std::string_view name_of(Divergence kind);

// `text` is for an operator: a clause that goes on after the name.
struct Finding {
  Divergence kind;
  std::string text;
};

// What the other end is told of a finding of ours.
api::Doubt doubt_of(Divergence kind);

// Why two Hellos that do not agree (pair_agrees()) do not; not for a first contact. What we found ourselves is not in
// them.
Finding find_divergence(const api::Hello& mine, const api::Hello& theirs);

}  // namespace qkms::kms
