// What an operator may have done with the store while it is open: a backup, and another master key. Both are in the
// audit log, with who asked.
//
// Operation: run() from any thread; a master key is fetched on a thread of its own, and the work is done on the
// engine's, a little between two batches. Limits: one backup, and one fetching, at a time.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "server/engine_thread.h"
#include "server/key_fetcher.h"
#include "storage/sealable_store.h"

namespace qkms::server {

enum class StoreCommand { kBackup, kRotateMaster };

class StoreCommands {
 public:
  // A sentence for the operator, or why it was not done. kUnauthorised: something must be typed, or it is wrong.
  using Answer = std::move_only_function<void(Result<std::string>)>;

  // Backups go into <state_dir>/backups; nobody outside chooses names. `master_key` says where the next master key
  // comes from, at the time when one is asked for. All must outlive this.
  StoreCommands(EngineThread& engine, storage::SealableStore& store, std::filesystem::path state_dir,
                std::function<storage::MasterKeySource()> master_key)
      : engine_(engine), store_(store), folder_(std::move(state_dir) / "backups"), keys_(std::move(master_key)) {}

  // `typed` is what the operator typed for it, if anything.
  void run(StoreCommand command, std::string who, SecretBytes typed, Answer answer);
  // No command after this; waits for a master key that is being fetched.
  void stop() { keys_.stop(); }

  // On the engine's thread: ends the backup that is under way, if any. The store may be closed then.
  void give_up(std::string why);

 private:
  void rotate_master(std::string who, SecretBytes typed, Answer answer);
  void change_master(const std::string& who, Result<SecretBytes> key, const std::string& where, Answer answer);
  void begin_backup(std::string who, Answer answer);
  void continue_backup();
  void end_backup(Result<std::string> outcome);
  void audit(api::AuditAction action, const std::string& who, std::string subject, std::string reason);

  struct Backup {
    std::unique_ptr<storage::StoreBackup> copy;
    std::filesystem::path file;
    std::string who;
    Answer answer;
  };

  EngineThread& engine_;
  storage::SealableStore& store_;
  const std::filesystem::path folder_;
  std::unique_ptr<Backup> backup_;  // the engine's thread only
  KeyFetcher keys_;                 // the first to go: it touches all of the above
};

}  // namespace qkms::server
