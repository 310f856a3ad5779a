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
  if (thread_.joinable()) thread_.join();  // it has its key, and takes the lock no more
  thread_ = std::thread([this, typed = std::move(typed), done = std::move(done)]() mutable {
    std::string where;
    Result<SecretBytes> key = ask(std::move(typed), where);
    {
      // Before anybody hears of it: who is told to type something may be back before this thread has ended.
      const std::lock_guard end(mutex_);
      busy_ = false;
    }
    done(std::move(key), where);
    wipe_traces();
  });
}

Result<SecretBytes> KeyFetcher::ask(SecretBytes typed, std::string& where) const {
  const auto provider = storage::make_master_key_provider(source_());
  if (!provider) return std::unexpected(provider.error());
  where = (*provider)->describe();
  return (*provider)->fetch(typed);
}

void KeyFetcher::stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  lock.unlock();
  if (thread_.joinable()) thread_.join();  // nobody replaces it any more
}

}  // namespace qkms::server
