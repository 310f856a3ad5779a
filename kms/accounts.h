// What two KMEs know of the reservoir that they share, held against each other: so a divergence is found that no number
// of a message shows, be it a mistake of ours, a row that a store has lost without a trace, or bits counted twice.
//
// Why there is no false alarm: a reservoir changes only with a message, at the end that sends it when it is sent and at
// the other when it is handled, and each end handles them in the order in which they were sent. So how far an end has
// come in both directions says what it must know, and two that have come equally far know the same. What is under way
// shows in the numbers, and then nothing is compared. Concurrency: the engine's thread.
#pragma once

#include <optional>
#include <string>

#include "api/peer/message.h"
#include "kms/reservoir.h"

namespace qkms::kms {

// At the end of a batch: what has been taken and is not announced yet is in no account of the peer's. `leads`: this end
// has the lower KME ID, which makes the digest the same at both ends.
api::Accounts accounts_of(const Reservoir& reservoir, std::uint64_t sent, Owner leader);

class Comparison {
 public:
  // Of the same point of the conversation. What differs, as a sentence; nothing: they agree.
  //
  // Columns of the ledger are older than the pair's present epoch, and a store that was lost or put back has forgotten
  // some of them: what they have in common is how much they have grown since the two were compared first.
  std::optional<std::string> difference(const api::Accounts& ours, const api::Accounts& theirs, const KmeId& peer);
  // The pair starts afresh.
  void forget() { first_.reset(); }

 private:
  struct Columns {
    std::uint64_t in, macs, quarantined;
  };
  struct Both {
    Columns ours, theirs;
  };
  std::optional<Both> first_;  // in this process's life and this pair epoch
};

}  // namespace qkms::kms
