// Bugs that the build can be asked to contain (-DQKMS_BUG=kReuseRange and so on), to prove that the history checker
// would find them. A normal build has kNone: every planted() below is then false at compile time.
#pragma once

namespace qkms::kms {

enum class Bug {
  kNone,
  kReuseRange,        // the front of an extent does not move past everything that was taken
  kEarlyReply,        // effects leave although the commit failed
  kSkipEntitlement,   // whoever asks gets the key
  kForgetBurn,        // bits of a request that failed are not burned
  kSwapKeys,          // two keys of one answer are given out under each other's ID
  kAnswerBeforePeer,  // Get key answers before the slaves' KMEs hold the keys
  kHandleTwice,       // a message that comes again after a reconnection is handled again
  kForgetAbsentPeer,  // what a former life sent to a peer that is out of the policy for now is not withdrawn
  kForgetCharge,      // a request with several slaves is not charged
  kIgnoreReserve,     // a pair may take what is kept for another
  kTrustAnyLife,      // what a peer has heard of us is believed to be known
  kKeepKeysPutBack,   // a store that was put back burns its extents and keeps its keys
  kHandOutUnasked,    // stored keys do not wait for what peers have to say
  kTrustSealedStore,  // after an unsealing nothing waits: as if nobody could have put the store back meanwhile
  kKeepGiven,         // the last extent that a peer gives away goes on counting as the peer's
  kCountTwice,        // the follower of a link counts a block that differs twice
};

#ifndef QKMS_BUG
#define QKMS_BUG kNone
#endif

inline constexpr Bug kPlantedBug = Bug::QKMS_BUG;

constexpr bool planted(Bug bug) { return kPlantedBug != Bug::kNone && bug == kPlantedBug; }

}  // namespace qkms::kms
