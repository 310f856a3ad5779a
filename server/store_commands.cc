#include "server/store_commands.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <system_error>
#include <utility>

#include "base/failpoint.h"
#include "storage/master_key.h"

namespace qkms::server {
namespace {

namespace fs = std::filesystem;

Result<fs::path> next_backup_in(const fs::path& folder) {
  std::error_code error;
  fs::create_directory(folder, error);
  if (!error) fs::permissions(folder, fs::perms::owner_all, error);
  if (error) return fail(ErrorCode::kIo, fmt::format("cannot make {}: {}", folder.string(), error.message()));
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto millis = now.time_since_epoch().count() % 1000;
  return folder / fmt::format("store-{:%Y%m%dT%H%M%S}.{:03}Z.db",
                              fmt::gmtime(std::chrono::system_clock::to_time_t(now)), millis);
}

}  // namespace

void StoreCommands::run(StoreCommand command, std::string who, Answer answer) {
  const auto shared = std::make_shared<Answer>(std::move(answer));
  const auto queued = engine_.between_batches([this, command, who = std::move(who), shared]() mutable {
    if (command == StoreCommand::kRotateMaster) return rotate_master(who, std::move(*shared));
    begin_backup(std::move(who), std::move(*shared));
  });
  if (!queued) (*shared)(std::unexpected(queued.error()));
}

void StoreCommands::audit(api::AuditAction action, const std::string& who, std::string subject, std::string reason) {
  // A full queue is the engine's trouble, not the command's; what it did is done.
  static_cast<void>(engine_.push(
      kms::AuditEvent{{.action = action, .actor = who, .subject = std::move(subject), .reason = std::move(reason)}}));
}

void StoreCommands::rotate_master(const std::string& who, Answer answer) {
  auto key = storage::read_master_key(master_key_file_);
  at_failpoint(Failpoint::kRotateMasterBegin);
  const Result<void> changed = key ? store_.change_master_key(std::move(*key)) : std::unexpected(key.error());
  at_failpoint(Failpoint::kRotateMasterDone);
  audit(api::AuditAction::kMasterKey, who, master_key_file_.string(),
        changed ? "in use" : fmt::format("refused: {}", changed.error().text));
  if (!changed) return answer(std::unexpected(changed.error()));
  answer("the keyring is wrapped under the key that the file holds now; the old one opens nothing any more\n");
}

// --- backup

void StoreCommands::begin_backup(std::string who, Answer answer) {
  if (backup_) return answer(fail(ErrorCode::kOverloaded, "a backup is under way"));
  const auto file = next_backup_in(folder_);
  if (!file) return answer(std::unexpected(file.error()));
  auto copy = store_.begin_backup(*file);
  if (!copy) return answer(std::unexpected(copy.error()));
  backup_ = std::make_unique<Backup>(Backup{std::move(*copy), *file, std::move(who), std::move(answer)});
  continue_backup();
}

void StoreCommands::continue_backup() {
  const Result<bool> done = backup_->copy->step();
  if (!done) return end_backup(std::unexpected(done.error()));
  if (*done) return end_backup(fmt::format("{}\n", backup_->file.string()));
  const auto queued = engine_.between_batches([this] { continue_backup(); });
  if (!queued) end_backup(std::unexpected(queued.error()));
}

void StoreCommands::end_backup(Result<std::string> outcome) {
  const auto backup = std::exchange(backup_, nullptr);
  audit(api::AuditAction::kBackup, backup->who, backup->file.string(),
        outcome ? "done" : fmt::format("failed: {}", outcome.error().text));
  backup->answer(std::move(outcome));
}

}  // namespace qkms::server
