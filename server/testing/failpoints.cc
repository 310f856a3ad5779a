// The failpoints of qkmsd_failpoints, the daemon that tests kill; linked in place of base/failpoint.cc and
// server/failpoint_store.cc.
//
// QKMS_FAILPOINT=name=action@n arms one: at its n-th passing, and at each one after that for "full", the action
// happens.
//   kill   the process ends at once, as by kill -9
//   error  the code behaves as after an I/O error whose extent is unknown
//   full   the code behaves as on a full disk, for three passings
// QKMS_FAILPOINT_HIT names a file that is made when the action happens. QKMS_FAILPOINT=list prints the names.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "base/failpoint.h"
#include "server/failpoint_store.h"

namespace qkms {
namespace {

constexpr std::uint64_t kFullFor = 3;

enum class Action { kKill, kError, kFull };

struct Armed {
  Failpoint point;
  Action action;
  std::uint64_t nth;
  std::atomic<std::uint64_t> passed = 0;
};

[[noreturn]] void refuse(const std::string& said) {
  std::fprintf(stderr, "QKMS_FAILPOINT=%s: not name=kill@1, name=error@1 or name=full@1\n", said.c_str());
  std::_Exit(64);
}

[[noreturn]] void list() {
  for (const std::string_view name : kFailpointNames) {
    std::printf("%.*s\n", static_cast<int>(name.size()), name.data());
  }
  std::fflush(stdout);
  std::_Exit(0);
}

Action action_of(const std::string& word, const std::string& said) {
  if (word == "kill") return Action::kKill;
  if (word == "error") return Action::kError;
  if (word == "full") return Action::kFull;
  refuse(said);
}

Armed* read_environment() {
  const char* const text = std::getenv("QKMS_FAILPOINT");
  if (text == nullptr) return nullptr;
  const std::string said = text;
  if (said == "list") list();
  const std::size_t equals = said.find('='), at = said.find('@');
  if (equals == std::string::npos || at == std::string::npos || at < equals) refuse(said);
  const auto* const name = std::ranges::find(kFailpointNames, std::string_view(said).substr(0, equals));
  if (name == kFailpointNames.end()) refuse(said);
  return new Armed{static_cast<Failpoint>(name - kFailpointNames.begin()),
                   action_of(said.substr(equals + 1, at - equals - 1), said),
                   std::strtoull(&said[at + 1], nullptr, 10)};
}

// Read before main: a wrong word ends the program before it does anything.
Armed* const armed = read_environment();

void note_hit() {
  const char* const file = std::getenv("QKMS_FAILPOINT_HIT");
  if (file == nullptr) return;
  const int descriptor = ::open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor >= 0) ::close(descriptor);
}

}  // namespace

bool is_armed(Failpoint point) { return armed != nullptr && armed->point == point; }

Fault at_failpoint(Failpoint point) {
  if (!is_armed(point)) return Fault::kNone;
  const std::uint64_t passed = ++armed->passed;
  const std::uint64_t last = armed->action == Action::kFull ? armed->nth + kFullFor : armed->nth;
  if (passed < armed->nth || passed > last) return Fault::kNone;
  note_hit();
  if (armed->action == Action::kKill) {
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }
  return armed->action == Action::kFull ? Fault::kDiskFull : Fault::kError;
}

namespace server {
namespace {

bool has_assign(const kms::Changes& changes) {
  return std::ranges::any_of(changes.new_outbox,
                             [](const auto& row) { return std::holds_alternative<api::Assign>(row.message); });
}

bool has_fetch(const kms::Changes& changes) {
  const auto fetched = [](const kms::Assignment& one) {
    return std::ranges::any_of(one.fetched, [](std::uint16_t slaves) { return slaves != 0; });
  };
  return !changes.dropped_assignments.empty() || std::ranges::any_of(changes.put_assignments, fetched);
}

class FailpointStore final : public kms::Store {
 public:
  explicit FailpointStore(std::unique_ptr<kms::Store> store) : store_(std::move(store)) {}

  Result<kms::Snapshot> load_all() override { return store_->load_all(); }

  Result<kms::Loaded> load(const kms::Needs& needs) override {
    auto loaded = store_->load(needs);
    if (!needs.assignments.empty() && at_failpoint(Failpoint::kGetByIdAfterLookUp) != Fault::kNone) {
      return fail(ErrorCode::kIo, "a failpoint");
    }
    return loaded;
  }

  kms::CommitOutcome commit(kms::Changes changes) override {
    const bool ingests = !changes.new_blocks.empty(), assigns = has_assign(changes), fetches = has_fetch(changes);
    const auto pass = [&](Failpoint ingest, Failpoint get_key, Failpoint get_by_id) {
      Fault fault = Fault::kNone;
      if (ingests) fault = std::max(fault, at_failpoint(ingest));
      if (assigns) fault = std::max(fault, at_failpoint(get_key));
      if (fetches) fault = std::max(fault, at_failpoint(get_by_id));
      return fault;
    };
    const Fault before =
        pass(Failpoint::kIngestBeforeCommit, Failpoint::kGetKeyBeforeCommit, Failpoint::kGetByIdBeforeCommit);
    if (before == Fault::kDiskFull) return kms::CommitOutcome::kFailed;
    if (before == Fault::kError) return kms::CommitOutcome::kUnknown;
    const kms::CommitOutcome outcome = store_->commit(std::move(changes));
    const Fault after =
        pass(Failpoint::kIngestAfterCommit, Failpoint::kGetKeyAfterCommit, Failpoint::kGetByIdAfterCommit);
    return after == Fault::kNone ? outcome : kms::CommitOutcome::kUnknown;
  }

 private:
  std::unique_ptr<kms::Store> store_;
};

}  // namespace

std::unique_ptr<kms::Store> with_failpoints(std::unique_ptr<kms::Store> store) {
  return std::make_unique<FailpointStore>(std::move(store));
}

}  // namespace server
}  // namespace qkms
