// The messages that two KMEs exchange, as plain values. The wire form is peer.proto; codec.h converts and checks
// bounds. Nothing here is key material in clear: the only field that carries key bits, Assign::under_pad, carries them
// under a one-time pad.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/id.h"

namespace qkms::api {

// What this build speaks. Two KMEs use the highest version that both know; none in common ends the session.
inline constexpr std::uint32_t kPeerVersionMin = 1;
inline constexpr std::uint32_t kPeerVersionMax = 1;

// Bounds that the codec enforces on every frame, in either direction.
inline constexpr std::size_t kMaxFrameBytes = std::size_t{256} * 1024;
inline constexpr std::size_t kMaxRangesPerMessage = 1024;
inline constexpr std::size_t kMaxSlavesPerMessage = 64;
inline constexpr std::uint32_t kMaxKeysPerMessage = 16'384;  // more than any keys.max_per_request
// What a key ID has room for (kms/key_id.h). Records are numbered from 1.
inline constexpr std::uint64_t kMaxRecordNumber = (std::uint64_t{1} << 61) - 1;
inline constexpr std::size_t kMaxExtentsPerMessage = 4096;
inline constexpr std::size_t kMaxCapabilities = 32;
inline constexpr std::uint64_t kMaxPairEpoch = 0xffff'fff0;  // extents are numbered from pair epoch * 2^32
inline constexpr std::size_t kMaxUnderPadBytes = std::size_t{128} * 1024;
inline constexpr std::size_t kMaxLinkNoteBytes = 16'384;

using Tag128 = std::array<std::uint8_t, 16>;

// A run of bytes inside one extent. Offsets and sizes are bytes; `size` is never 0.
struct Range {
  std::uint64_t extent = 0;
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
  bool operator==(const Range&) const = default;
};

// How far a KME had come when it said this: in which life of its store, and how often it had given something out in it.
// The receiver keeps the last one and gives it back in its next Hello, so that a store which was put back to an earlier
// state learns what it has forgotten (docs/adr/0015-lives-of-a-store.md, kms/life.h).
struct Mark {
  std::uint64_t ordinal = 0;   // orders the lives of a store; 0: this is no mark, and all else is 0
  std::uint64_t life = 0;      // drawn when the life began
  std::uint64_t progress = 0;  // grows with all that is given out
  Tag128 proof{};              // by a secret of who made the mark: to everyone else it means nothing
  bool operator==(const Mark&) const = default;
};

// What its sender has found that keeps it from going on with the pair as it was (kms/divergence.h). It decides nothing:
// it tells the operator of the other end why everything that the two share is burned.
enum class Doubt {
  kNone = 0,
  kRows = 1,      // rows of the sender's store are missing
  kMark = 2,      // the receiver gave back a mark that the sender did not make
  kRange = 3,     // the receiver named a range that is not at the front of an extent of its own
  kExtent = 4,    // the receiver numbered an extent, or gave one, that it could not
  kBlock = 5,     // the receiver decided on a block that the sender has not offered
  kRecord = 6,    // the receiver used a record number twice
  kAccounts = 7,  // the two say different things about what they share
};

// First on every session, from both sides, outside the numbered sequence. What it says about the pair's history decides
// whether the two go on or start afresh: see pair_agrees() in kms/channel.h.
struct Hello {
  std::uint32_t version_min = kPeerVersionMin;
  std::uint32_t version_max = kPeerVersionMax;
  std::vector<std::string> capabilities;  // names this build does not know are ignored
  KmeId sender;
  std::uint64_t incarnation = 0;          // of the sender's store; drawn when the store is made
  std::uint64_t peer_incarnation = 0;     // the receiver's, as the sender last saw it; 0 = never met
  std::uint64_t pair_epoch = 0;           // grows by one whenever the pair starts afresh
  std::uint64_t sent = 0;                 // highest sequence number that the sender has given to a message
  std::uint64_t acknowledged = 0;         // highest of those that the receiver has confirmed
  std::uint64_t received = 0;             // highest of the receiver's that the sender has handled durably
  std::array<std::uint8_t, 32> id_key{};  // decodes the sender's key IDs (kms/key_id.h); no authority rests on it
  Mark heard = {};                        // the receiver's last mark, as it came
  Doubt doubt = Doubt::kNone;             // values this build does not know are kNone
  bool operator==(const Hello&) const = default;
};

// The leader (lower KME ID) of a link to the follower: I hold this block, and this is its tag under its own first 32
// bytes.
struct BlockOffer {
  LinkId link;
  BlockId block;
  std::uint32_t size = 0;          // bytes of the whole block, tag key included
  std::uint32_t leader_bytes = 0;  // of what is left after the tag key, this many from the front belong to the leader
  Tag128 tag{};
  bool operator==(const BlockOffer&) const = default;
};

// The follower holds the same bits and has made extents of them, numbered from `first_extent`, cut as the offer that it
// answers said.
struct BlockAccept {
  LinkId link;
  BlockId block;
  std::uint64_t first_extent = 0;
  std::uint32_t leader_bytes = 0;
  bool operator==(const BlockAccept&) const = default;
};

enum class BlockRejectReason { kMismatch = 1, kExpired = 2, kRepeated = 3, kRefused = 4 };

struct BlockReject {
  LinkId link;
  BlockId block;
  BlockRejectReason reason = BlockRejectReason::kRefused;
  bool operator==(const BlockReject&) const = default;
};

// Keys for slaves that the receiver serves. Without `under_pad` the ranges are the keys; with it they are the pad over
// them. The ranges belong to the sender, start at the fronts of their extents, and add up to key_count * key_bytes.
struct Assign {
  std::uint64_t record = 0;  // the issuer's (sender's) record number
  SaeId master;
  std::vector<SaeId> slaves;
  std::uint32_t key_count = 0;
  std::uint32_t key_bytes = 0;  // per key
  std::uint64_t life_ms = 0;    // from receipt; clocks of two sites are never compared
  std::vector<Range> ranges;
  std::vector<std::uint8_t> under_pad;
  bool operator==(const Assign&) const = default;
};

enum class AssignRefuseReason { kUnknownSae = 1, kUnreadable = 2 };

// The receiver of an Assign does not serve those SAEs, or cannot read its copy of the bits. The ranges are burned at
// both ends; after kUnreadable the owner burns what is left of their extents as well. Success has no message: the
// acknowledgement says it.
struct AssignRefuse {
  std::uint64_t record = 0;
  AssignRefuseReason reason = AssignRefuseReason::kUnknownSae;
  bool operator==(const AssignRefuse&) const = default;
};

// The issuer withdraws a record: whatever of it has not been delivered is burned.
struct Void {
  std::uint64_t record = 0;
  bool operator==(const Void&) const = default;
};

// Please hand over untouched extents of about this many bytes.
struct ExtentRequest {
  std::uint64_t wanted_bytes = 0;
  bool operator==(const ExtentRequest&) const = default;
};

// These extents, untouched and until now the sender's, belong to the receiver.
struct ExtentGive {
  std::vector<std::uint64_t> extents;
  bool operator==(const ExtentGive&) const = default;
};

// The sender has made these ranges of its own unusable.
struct Burn {
  std::vector<Range> ranges;
  bool operator==(const Burn&) const = default;
};

using Message =
    std::variant<BlockOffer, BlockAccept, BlockReject, Assign, AssignRefuse, Void, ExtentRequest, ExtentGive, Burn>;

// A numbered message: handled once, in order, per pair epoch.
struct Numbered {
  std::uint64_t sequence = 0;  // from 1
  Message message;
  bool operator==(const Numbered&) const = default;
};

// What its sender knows of the reservoir that it shares with the receiver, when it had sent `sent` numbered messages
// and handled those that the frame acknowledges. The receiver, when it is at that very point of the conversation, knows
// the same, or the two have diverged (kms/accounts.h). Never key bits, nor anything made of them.
struct Accounts {
  struct Side {
    std::uint64_t extents = 0, bits = 0;
    bool operator==(const Side&) const = default;
  };
  std::uint64_t sent = 0;
  std::uint64_t in = 0, macs = 0, quarantined = 0;  // bits, of kms::Ledger: since the sender's store was made
  Side own, peer;                                   // what is available to the sender, and to the receiver
  Tag128 digest{};                                  // over all extents: number, owner, size, front
  bool operator==(const Accounts&) const = default;
};

// From the driver at one end of a link to the driver at the other: public, in order, at most once, and lost without a
// session. Its bytes are between the two drivers.
struct LinkNote {
  LinkId link;
  std::string bytes;
  bool operator==(const LinkNote&) const = default;
};

// An acknowledgement alone; also the heartbeat. At times it says what the sender's accounts are, or brings a note.
struct Heartbeat {
  std::optional<Accounts> accounts = {};
  std::optional<LinkNote> note = {};
  bool operator==(const Heartbeat&) const = default;
};

struct Frame {
  std::uint64_t acknowledge =
      0;  // every message up to this number is handled and durable at the sender; apply after the body
  std::variant<Hello, Numbered, Heartbeat> body;
  Mark mark =
      {};  // of the sender; never with a Hello, since what the receiver has to say must be heard before it is replaced
  bool operator==(const Frame&) const = default;
};

}  // namespace qkms::api
