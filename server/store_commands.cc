#include "server/store_commands.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <system_error>
#include <utility>

#include "base/failpoint.h"

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

void StoreCommands::run(StoreCommand command, std::string who, SecretBytes typed, Answer answer) {
  if (command == StoreCommand::kRotateMaster) return rotate_master(std::move(who), std::move(typed), std::move(answer));
  const auto shared = std::make_shared<Answer>(std::move(answer));
  const auto queued = engine_.between_batches(
      [this, who = std::move(who), shared]() mutable { begin_backup(std::move(who), std::move(*shared)); });
  if (!queued) (*shared)(std::unexpected(queued.error()));
}

void StoreCommands::audit(api::AuditAction action, const std::string& who, std::string subject, std::string reason) {
  // A full queue is the engine's trouble, not the command's; what it did is done.
  const auto queued = engine_.push(
      kms::AuditEvent{{.action = action, .actor = who, .subject = std::move(subject), .reason = std::move(reason)}});
  if (!queued) spdlog::warn("not in the audit log: {}", queued.error().text);
}

void StoreCommands::rotate_master(std::string who, SecretBytes typed, Answer answer) {
  keys_.fetch(std::move(typed), [this, who = std::move(who), answer = std::move(answer)](
                                    Result<SecretBytes> key, const std::string& where) mutable {
    const auto shared = std::make_shared<Answer>(std::move(answer));
    const auto queued = engine_.between_batches([this, who, where, key = std::move(key), shared]() mutable {
      change_master(who, std::move(key), where, std::move(*shared));
    });
    if (!queued) (*shared)(std::unexpected(queued.error()));
  });
}

void StoreCommands::change_master(const std::string& who, Result<SecretBytes> key, const std::string& where,
                                  Answer answer) {
  const auto store = store_.to_look_at();
  at_failpoint(Failpoint::kRotateMasterBegin);
  const Result<void> changed = !key     ? std::unexpected(key.error())
                               : !store ? std::unexpected(store.error())
                                        : (*store)->change_master_key(std::move(*key));
  at_failpoint(Failpoint::kRotateMasterDone);
  const bool in_doubt = store && (*store)->master_key_in_doubt();
  audit(api::AuditAction::kMasterKey, who, where,
        changed ? "in use" : fmt::format("{}: {}", in_doubt ? "in doubt" : "refused", changed.error().text));
  if (!changed) return answer(std::unexpected(changed.error()));
  answer(fmt::format("the keyring is wrapped under the key of {}; the old one opens nothing any more\n", where));
}

// --- backup

void StoreCommands::begin_backup(std::string who, Answer answer) {
  if (backup_) return answer(fail(ErrorCode::kOverloaded, "a backup is under way"));
  const auto file = next_backup_in(folder_);
  if (!file) return answer(std::unexpected(file.error()));
  const auto store = store_.to_look_at();
  if (!store) return answer(std::unexpected(store.error()));
  auto copy = (*store)->begin_backup(*file);
  if (!copy) return answer(std::unexpected(copy.error()));
  backup_ = std::make_unique<Backup>(Backup{std::move(*copy), *file, std::move(who), std::move(answer)});
  continue_backup();
}

void StoreCommands::give_up(std::string why) {
  if (backup_) end_backup(fail(ErrorCode::kSealed, std::move(why)));
}

void StoreCommands::continue_backup() {
  if (!backup_) return;  // it was given up
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
