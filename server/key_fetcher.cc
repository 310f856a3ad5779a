#include "server/key_fetcher.h"

#include <utility>

namespace qkms::server {

void KeyFetcher::fetch(SecretBytes typed, Done done) {
  std::unique_lock lock(mutex_);
  if (busy_ || stopping_) {
    const Error error = stopping_ ? Error{ErrorCode::kClosed, "the daemon is stopping"}
                                  : Error{ErrorCode::kOverloaded, "a master key is being fetched; try again"};
    lock.unlock();
    return done(std::unexpected(error), "");
  }
  busy_ = true;
  if (thread_.joinable()) thread_.join();  // it has said that it is done
  thread_ = std::thread([this, typed = std::move(typed), done = std::move(done)]() mutable {
    run(typed, std::move(done));
    typed.clear();
    wipe_traces();
    const std::lock_guard end(mutex_);
    busy_ = false;
  });
}

void KeyFetcher::run(const SecretBytes& typed, Done done) {
  const auto provider = storage::make_master_key_provider(source_());
  if (!provider) return done(std::unexpected(provider.error()), "");
  Result<SecretBytes> key = (*provider)->fetch(typed);
  done(std::move(key), (*provider)->describe());
}

void KeyFetcher::stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  lock.unlock();
  if (thread_.joinable()) thread_.join();  // nobody replaces it any more
}

}  // namespace qkms::server
