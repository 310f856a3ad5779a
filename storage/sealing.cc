// See sealing.h.
#include "storage/sealing.h"

namespace qkms::storage {

Result<std::unique_ptr<Sealing>> Sealing::begin(std::unique_ptr<Keyring> keyring, const EpochSettings& settings) {
  Result<Census> census = Census::make(keyring->census_key());
  if (!census) return std::unexpected(census.error());
  std::unique_ptr<Sealing> sealing(new Sealing(std::move(keyring), std::move(*census), settings));
  if (Result<void> begun = sealing->begin_epoch(); !begun) return std::unexpected(begun.error());
  return sealing;
}

Result<void> Sealing::begin_epoch() {
  const Result<EpochId> epoch = keyring_->begin_epoch();
  if (!epoch) return std::unexpected(epoch.error());
  began_ = std::chrono::steady_clock::now();
  return sealer_.seal_under(*epoch);
}

void Sealing::before_commit() {
  const bool is_old = std::chrono::steady_clock::now() - began_ >= settings_.life;
  if (!is_old && sealer_.sealed_bytes() < settings_.bytes) return;
  // A full disk, most likely. Rows are as safe under the old key; the next commit tries again.
  [[maybe_unused]] const Result<void> begun = begin_epoch();
}

void Sealing::after_commit() {
  census_.settle();
  if (spent().empty()) return;
  // When it fails, the keys are still there and the next commit tries again.
  [[maybe_unused]] const Result<void> destroyed = destroy_spent_keys();
}

Result<void> Sealing::destroy_spent_keys() {
  const std::set<EpochId> epochs = spent();
  if (Result<void> destroyed = keyring_->destroy(epochs, sealer_.epoch()); !destroyed) return destroyed;
  for (const EpochId epoch : epochs) sealer_.forget(epoch);
  return {};
}

std::set<EpochId> Sealing::spent() const {
  std::set<EpochId> epochs = keyring_->epochs();
  epochs.erase(sealer_.epoch());
  for (const auto& [epoch, rows] : census_.epochs()) epochs.erase(epoch);
  return epochs;
}

EpochId Sealing::reseal_before() const {
  return sealer_.epoch() > settings_.reseal_after ? sealer_.epoch() - settings_.reseal_after : 0;
}

}  // namespace qkms::storage
