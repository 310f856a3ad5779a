// Named points in the code at which a test lets the daemon die or fail (docs/adr/0019-failpoints.md).
//
// What would surprise: in everything that ships these functions do nothing. What they do in tests is another definition
// of the same functions, linked in their place: server/testing/failpoints.cc. So the daemon that tests kill is made of
// the same objects as the one that ships.
//
// Concurrency: any thread.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace qkms {

// The names are kFailpointNames, in this order. ./dev faults points fails when one of them was never reached.
enum class Failpoint {
  kStoreOpen,
  kStoreMigrate,
  kStoreBegin,
  kStoreBeforeCommit,
  kStoreAfterCommit,
  kStoreCheckpoint,
  kIngestBeforeCommit,
  kIngestAfterCommit,
  kGetKeyBeforeCommit,
  kGetKeyAfterCommit,
  kGetKeyBeforeReply,
  kGetByIdAfterLookUp,
  kGetByIdBeforeCommit,
  kGetByIdAfterCommit,
  kGetByIdBeforeReply,
  kPeerReceived,
  kPeerBeforeSend,
  kPeerAfterSend,
  kResponseMidWrite,
  kReloadBeforeApply,
  kReloadAfterApply,
  kShutdownBegin,
  kShutdownDrained,
  kKeyringBeforeWrite,
  kKeyringAfterWrite,
  kBackupStep,
  kBackupBeforePlace,
  kBackupAfterPlace,
  kRotateMasterBegin,
  kRotateMasterDone,
};

inline constexpr std::array<std::string_view, 30> kFailpointNames = {
    "store.open",
    "store.migrate",
    "store.begin",
    "store.before_commit",
    "store.after_commit",
    "store.checkpoint",
    "ingest.before_commit",     // blocks of a device are to become durable
    "ingest.after_commit",      //
    "get_key.before_commit",    // bits are taken and their Assign is posted
    "get_key.after_commit",     // and durable, but not sent
    "get_key.before_reply",     // the slave's KME has acknowledged
    "get_by_id.after_look_up",  //
    "get_by_id.before_commit",  //
    "get_by_id.after_commit",   //
    "get_by_id.before_reply",   //
    "peer.received",            // a frame, before it is handled
    "peer.before_send",         // frames that a commit has justified, acknowledgements among them
    "peer.after_send",          //
    "response.mid_write",       // half of an answer's bytes are on their way
    "reload.before_apply",      //
    "reload.after_apply",       //
    "shutdown.begin",           //
    "shutdown.drained",         //
    "keyring.before_write",     // an epoch begins or is destroyed, or the master key changes
    "keyring.after_write",      //
    "backup.step",              //
    "backup.before_place",      // the copy is whole, under another name
    "backup.after_place",       //
    "rotate_master.begin",      // the new key is read
    "rotate_master.done",       // the keyring is wrapped under it, and nobody has heard
};
static_assert(kFailpointNames.size() == static_cast<std::size_t>(Failpoint::kRotateMasterDone) + 1);

// What the code at a failpoint is to behave like. Dying is not among it: then there is no answer.
enum class Fault { kNone, kError, kDiskFull };

Fault at_failpoint(Failpoint point);

// Whether at_failpoint() might do something there: for what would cost something to find out, or to prepare.
bool is_armed(Failpoint point);

}  // namespace qkms
