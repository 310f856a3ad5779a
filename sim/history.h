// What can be seen from outside in one run: what SAEs asked and got, what devices made, what went over the wire, when
// KMEs fell, and what each said about its accounts at the end. The checker judges by this and by nothing else, so there
// is no type of the engine here.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/id.h"
#include "base/secret.h"
#include "base/time.h"

namespace qkms::sim {

// kUnmet: what its extensions ask cannot be had. kRetry: a 503, and the caller has no keys. kLimited: likewise, since a
// rate or a quota is used up. kShort: likewise, since there is not enough key, or what there is is kept for others.
// kUnknown: no answer, or one that leaves open whether the request was carried out.
enum class Answer { kKeys, kStatus, kInvalid, kDenied, kNotFound, kUnmet, kRetry, kLimited, kShort, kUnknown };

enum class CallKind { kStatus, kGetKey, kFetch };

enum class Route { kAny, kDirect, kIndirect };

struct Call {
  CallKind kind = CallKind::kStatus;
  Millis start = 0, end = 0;
  KmeId kme;  // the caller's own
  SaeId caller;
  SaeId other;                    // Get key: the slave; fetch: the master
  std::vector<SaeId> additional;  // Get key only
  std::uint32_t number = 0;       // Get key only
  std::uint32_t size_bytes = 0;   // Get key only
  std::optional<Millis> max_age;  // Get key only: the bits must not be older
  Route route = Route::kAny;      // Get key only: and must come this way
  std::vector<KeyId> asked;       // fetch only
  Answer answer = Answer::kUnknown;
  std::vector<KeyId> ids;  // with kKeys; key i is the run of sizes[i] bytes of `bits` after those before it
  std::vector<std::uint32_t> sizes;
  SecretBytes bits;
};

// As the pair of devices made it, before any fault of theirs.
struct DeviceBlock {
  LinkId link;
  BlockId block;
  SecretBytes bits;
};

// Bits that hid a key on its way, computed from what was on the wire and the key itself.
struct PadUse {
  KmeId from, to;
  SecretBytes bits;
};

// What was on the wire in place of that key.
struct PaddedKeys {
  KmeId from, to;
  std::vector<std::uint8_t> wire_bytes;
};

struct BlockTag {
  LinkId link;
  BlockId block;
  std::array<std::uint8_t, 16> tag{};
};

struct Crash {
  KmeId kme;
  Millis time = 0;
};

// A KME's store was put back to what it had been at an earlier moment. `noticed`: when the KME had burned what it held;
// nothing: it never did.
struct PutBack {
  KmeId kme;
  Millis copied = 0;
  Millis time = 0;
  std::optional<Millis> noticed;
};

// A KME's engine was made anew, in a crash or after a commit that failed: what it kept in memory only is gone.
struct NewLife {
  KmeId kme;
  Millis time = 0;
};

// An operator took something out of one KME's policy for a while: an SAE, a peer with its links, or a link to a peer.
enum class AbsenceKind { kSae, kPeer, kLink };

struct Absence {
  AbsenceKind kind = AbsenceKind::kSae;
  KmeId kme;
  SaeId sae;   // kSae only
  KmeId peer;  // kPeer and kLink
  Millis from = 0;
  Millis to = std::numeric_limits<Millis>::max();
  bool touches(Millis start, Millis end) const { return from <= end && start <= to; }
};

// What an SAE, or a pair of master and slave, may use up; 0: no limit.
struct Limits {
  std::uint64_t requests_per_s = 0, keys_per_s = 0, bits_per_s = 0, keys_per_day = 0, bits_per_day = 0;
};

// What was in a KME's own part of a reservoir; or that some of any of its reservoirs may have gone in other ways than
// to SAEs.
struct Level {
  std::size_t calls_before = 0;  // how many calls had ended by then
  Millis time = 0;
  KmeId kme, peer;
  std::optional<std::uint64_t> own_bytes;  // nothing: what was known of this KME may hold no more
};

// Proof that a KME had taken a block into its reservoir by then.
struct Appended {
  KmeId kme;
  BlockId block;
  Millis by = 0;
};

// kAgreed: proof that both ends have stored the same beginning.
enum class PairEventKind { kReset, kAgreed };

struct PairEvent {
  PairEventKind kind = PairEventKind::kReset;
  Millis time = 0;
  KmeId kme, peer;
};

// A KME complained about what cannot happen in this run: no row is ever damaged, and no peer breaks the protocol.
struct Alarm {
  Millis time = 0;
  KmeId kme;
  std::string text;
};

// One KME's account of what it shares with one peer, in bits.
struct Account {
  KmeId kme, peer;
  bool session_up = false;
  std::uint64_t in = 0, macs = 0, quarantined = 0, available_own = 0, available_peer = 0, in_flight = 0, held = 0,
                delivered = 0, pads = 0, burned = 0, expired = 0, waiting_messages = 0;
  std::optional<std::uint64_t> burned_in_audit;  // what the KME's audit log has of burns of these bits
  std::uint64_t burns_without_reason = 0;        // records of it
};

// After the end of all faults: could this master get a key for this slave?
struct Probe {
  SaeId master, slave;
  Answer answer = Answer::kUnknown;
};

struct History {
  std::map<SaeId, KmeId> homes;
  std::set<std::pair<SaeId, SaeId>> allowed;  // by the KMEs of both
  Millis key_life = 0;
  bool expiry_exact = true;  // false: KMEs' clocks stand still while they are down
  bool all_expired = false;  // at the end, every key has outlived its life
  std::map<SaeId, Limits> sae_limits;
  std::map<std::pair<SaeId, SaeId>, Limits> pair_limits;    // (master, slave)
  std::map<std::pair<SaeId, SaeId>, std::uint64_t> floors;  // likewise: bytes kept for the pair
  std::optional<Millis> limits_until;                       // all of these were lifted then
  std::set<std::pair<KmeId, KmeId>> linked;                 // both ways
  std::optional<Millis> quiet_since;  // from here on: no fault, all up, all settled; nothing: they never settled

  std::vector<Call> calls;  // in the order of their ends
  std::vector<DeviceBlock> blocks;
  std::vector<PadUse> pads;
  std::vector<PaddedKeys> padded;
  std::vector<BlockTag> tags;
  std::vector<Crash> crashes;
  std::vector<PutBack> put_backs;
  std::vector<NewLife> lives;
  std::vector<Absence> absences;
  std::vector<Level> levels;
  std::vector<Appended> appended;
  std::vector<PairEvent> pair_events;
  std::vector<Alarm> alarms;
  std::vector<Alarm> divergences;  // what they found to differ, where nothing is ever lost without a trace
  std::vector<Account> accounts;
  std::vector<Probe> probes;
};

}  // namespace qkms::sim
