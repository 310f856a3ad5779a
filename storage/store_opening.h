// What happens between a database that is open and a store that serves: the keyring is found or made, a new epoch
// begins, the tables are made, brought over from format 1, or counted and compared with the head; and a new head is
// durable.
#pragma once

#include <filesystem>

#include "storage/sealing.h"
#include "storage/store_census.h"

namespace qkms::storage {

// A group whose rows were not what the head says. All of them are gone from the store.
struct Quarantined {
  std::string name;  // of the peer or link
  std::string why;
  std::uint64_t rows = 0;
};

struct OpenedStore {
  std::unique_ptr<Sealing> sealing;
  std::vector<Quarantined> quarantined;
  AuditSpan audit;
  std::uint64_t left_behind = 0;         // rows that did not open when format 1 was brought over
  std::optional<EpochId> copy_of_epoch;  // this file is a copy from then, and the keyring knows of later commits
};

// `store` names the file of `database`. kInvalid: another master key, a keyring of another store, a newer store.
// kCorrupt: no keyring or an old copy of it, no head, or a node row that is not the last one.
Result<OpenedStore> open_store(Database& database, const std::filesystem::path& store,
                               const std::filesystem::path& keyring, SecretBytes master_key,
                               const EpochSettings& settings);

// A store of kSchemaVersion with the keyring that belongs to it. Writes nothing; for whoever only reads, too.
struct KnownStore {
  std::unique_ptr<Keyring> keyring;
  Head head;
};
Result<KnownStore> recognise(Database& database, const std::filesystem::path& keyring, SecretBytes master_key);

}  // namespace qkms::storage
