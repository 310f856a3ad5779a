// What an operator may have done with the store while it is open: a backup, and another master key. Both are in the
// audit log, with who asked.
//
// Operation: run() from any thread; the work is done on the engine's, a little between two batches. Limits: one backup
// at a time.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "server/engine_thread.h"
#include "storage/sqlite_store.h"

namespace qkms::server {

enum class StoreCommand { kBackup, kRotateMaster };

class StoreCommands {
 public:
  // A sentence for the operator, or why it was not done.
  using Answer = std::move_only_function<void(Result<std::string>)>;

  // Backups go into <state_dir>/backups; nobody outside chooses names. The next master key is what `master_key_file`
  // holds when asked. All must outlive this.
  StoreCommands(EngineThread& engine, storage::SqliteStore& store, std::filesystem::path state_dir,
                std::filesystem::path master_key_file)
      : engine_(engine),
        store_(store),
        folder_(std::move(state_dir) / "backups"),
        master_key_file_(std::move(master_key_file)) {}

  void run(StoreCommand command, std::string who, Answer answer);

 private:
  void rotate_master(const std::string& who, Answer answer);
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
  storage::SqliteStore& store_;
  const std::filesystem::path folder_, master_key_file_;
  std::unique_ptr<Backup> backup_;  // the engine's thread only
};

}  // namespace qkms::server
