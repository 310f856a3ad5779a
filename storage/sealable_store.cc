// See sealable_store.h.
#include "storage/sealable_store.h"

#include <utility>

#include "base/secret.h"

namespace qkms::storage {
namespace {

std::unexpected<Error> sealed_error() { return fail(ErrorCode::kSealed, "the store is sealed"); }

}  // namespace

SealableStore::SealableStore(std::filesystem::path file, StoreSettings settings, StoreLock lock)
    : file_(std::move(file)),
      settings_(std::move(settings)),
      lock_(std::make_shared<const StoreLock>(std::move(lock))) {}

Result<std::unique_ptr<SealableStore>> SealableStore::lock(std::filesystem::path file, StoreSettings settings) {
  Result<StoreLock> lock = StoreLock::acquire(file);
  if (!lock) return std::unexpected(lock.error());
  return std::unique_ptr<SealableStore>(new SealableStore(std::move(file), std::move(settings), std::move(*lock)));
}

Result<void> SealableStore::unseal(SecretBytes master_key) {
  if (store_) return {};
  // A folder that was put in the place of ours has a lock of its own, which another process may hold.
  if (!lock_->is_in_place()) {
    Result<StoreLock> lock = StoreLock::acquire(file_);
    if (!lock) return std::unexpected(lock.error());
    lock_ = std::make_shared<const StoreLock>(std::move(*lock));
  }
  Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(lock_, file_, std::move(master_key), settings_);
  if (!store) return std::unexpected(store.error());
  store_ = std::move(*store);
  return {};
}

void SealableStore::seal() {
  store_.reset();
  wipe_traces();  // rows and keys passed through registers and the stack
}

Result<SqliteStore*> SealableStore::to_look_at() {
  if (!store_) return sealed_error();
  return store_.get();
}

Result<kms::Snapshot> SealableStore::load_all() {
  if (!store_) return sealed_error();
  return store_->load_all();
}

Result<kms::Loaded> SealableStore::load(const kms::Needs& needs) {
  if (!store_) return sealed_error();
  return store_->load(needs);
}

kms::CommitOutcome SealableStore::commit(kms::Changes changes) {
  if (!store_) return kms::CommitOutcome::kFailed;
  return store_->commit(std::move(changes));
}

}  // namespace qkms::storage
