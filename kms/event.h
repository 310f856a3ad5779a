// What happens to the engine, and what it wants done about it. Between the two stands the commit: see node.h.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "api/audit_record.h"
#include "api/peer/message.h"
#include "kms/divergence.h"
#include "kms/types.h"

namespace qkms::kms {

// A session with a peer, numbered by whoever runs the transport; never reused while the process lives.
using SessionId = std::uint64_t;

struct SaeEvent {
  RequestToken token = 0;
  SaeRequest request;
};

struct PeerUp {
  KmeId peer;
  SessionId session = 0;
};

struct PeerDown {
  KmeId peer;
  SessionId session = 0;
};

struct PeerFrame {
  KmeId peer;
  SessionId session = 0;
  api::Frame frame;
};

// From a driver. `bits` are the device's, at most kMaxBlockBytes; see block_exchange.h for what becomes of them.
struct BlockArrived {
  LinkId link;
  BlockId block;
  SecretBytes bits;
};

// A driver has something to tell its twin at the link's other end, or was told something by it. At most
// api::kMaxLinkNoteBytes; lost while there is no session.
struct DriverNote {
  LinkId link;
  std::string bytes;
};

// Time has passed. Sent about every 50 ms; deadlines, heartbeats and expiry hang on it.
struct Tick {};

// Something outside the engine that belongs into the audit log: a start, a stop, another configuration.
struct AuditEvent {
  api::AuditRecord record;
};

// An operator wants figures.
struct ReportRequest {
  RequestToken token = 0;
};

using Event =
    std::variant<SaeEvent, PeerUp, PeerDown, PeerFrame, BlockArrived, DriverNote, Tick, AuditEvent, ReportRequest>;

// --- effects
// -----------------------------------------------------------------------------------------------------------------------

struct ReplyEffect {
  RequestToken token = 0;
  SaeReply reply;
};

struct SendEffect {
  KmeId peer;
  SessionId session = 0;
  api::Frame frame;
};

struct CloseEffect {
  KmeId peer;
  SessionId session = 0;
  std::string why;
};

// Something an operator may want to know. `kind` is a closed set: each is a log line's name and a counter's label.
enum class NoticeKind {
  kPairResumed,
  kPairMet,
  kPairReset,
  kProtocolError,
  kBlockAccepted,
  kBlockMismatch,
  kBlockExpired,
  kBlockRepeated,
  kBlockRefused,
  kAssignRefused,
  kRecordVoided,
  kKeysExpired,
  kExtentsGiven,
  kUnreadableRow,
  kPeerSilent,
  kNotEntitled,
  kLimited,
  kPolicyReplaced,
  kStoreRolledBack,
  kLinkDivergence,
};
inline constexpr std::size_t kNoticeKinds = static_cast<std::size_t>(NoticeKind::kLinkDivergence) + 1;
std::string_view name_of(NoticeKind kind);

struct Notice {
  NoticeKind kind;
  std::string subject;  // a KME, link or SAE ID
  std::string text;
};

struct ReservoirReport {
  KmeId peer;
  bool session_up = false;
  Ledger ledger;
  std::uint64_t available_own_bits = 0;
  std::uint64_t available_peer_bits = 0;
  std::size_t outbox = 0;
  std::array<std::uint64_t, kDivergences> divergences{};  // how often it was burned since the start, by reason
  std::uint64_t comparisons = 0;                          // how often both ends' accounts were compared since then
};

struct LinkReport {
  LinkId link;
  KmeId peer;
  std::uint64_t blocks_received = 0, blocks_accepted = 0, blocks_mismatched = 0, blocks_expired = 0,
                blocks_repeated = 0, blocks_refused = 0;
  std::size_t pending_blocks = 0;
};

// What an SAE of ours did since the start.
struct SaeReport {
  std::uint64_t keys = 0;     // given to it as a master
  std::uint64_t fetched = 0;  // by key ID, as a slave
  std::uint64_t limited = 0;  // requests refused by a rate, a quota or another pair's reserve
  std::uint64_t misses = 0;   // requests for key IDs that it could not have
};

struct Report {
  std::vector<ReservoirReport> reservoirs;
  std::map<SaeId, SaeReport> saes;  // those that asked anything
  std::vector<LinkReport> links;
  std::size_t requests_in_flight = 0;
  bool reconciling = false;  // what the store held at the start waits for peers (kms/reconciliation.h)
  Millis time = 0;
};

struct ReportEffect {
  RequestToken token = 0;
  Report report;
};

// Whether the reservoir that a link feeds takes blocks: said when it changes, and after a start.
struct LinkFull {
  LinkId link;
  bool full = false;
};

// In the order in which they are released: replies and frames of one peer keep their order.
struct Effects {
  std::vector<ReplyEffect> replies;
  std::vector<SendEffect> sends;
  std::vector<CloseEffect> closes;
  std::vector<Notice> notices;
  std::vector<DriverNote> notes;  // for the drivers here
  std::vector<LinkFull> links_full;
  std::vector<ReportEffect> reports;
};

}  // namespace qkms::kms
