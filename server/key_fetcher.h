// Master keys that are fetched while the daemon runs, on a thread of their own: a passphrase takes a second of work and
// 128 MiB, a token as long as it likes, and neither the engine's nor a connection's thread has that time.
//
// Concurrency: any thread. Limits: one at a time; whoever comes meanwhile is told so (kOverloaded), so nobody guesses
// passphrases by the hundred.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/secret.h"
#include "storage/master_key.h"

namespace qkms::server {

class KeyFetcher {
 public:
  // The key, and what it is the key of, for log and audit: "the file /etc/qkms/master.key".
  using Done = std::move_only_function<void(Result<SecretBytes> key, const std::string& where)>;

  // `source` says where the key comes from at the time of asking.
  explicit KeyFetcher(std::function<storage::MasterKeySource()> source) : source_(std::move(source)) {}
  ~KeyFetcher() { stop(); }

  // `done` is called once: on the fetcher's thread, or at once when that is busy or has stopped.
  void fetch(SecretBytes typed, Done done);
  // Waits for the one that is under way; a token that does not answer is waited for. No other begins.
  void stop();

 private:
  Result<SecretBytes> ask(SecretBytes typed, std::string& where) const;

  const std::function<storage::MasterKeySource()> source_;
  std::mutex mutex_;
  bool busy_ = false, stopping_ = false;
  std::thread thread_;
};

}  // namespace qkms::server
