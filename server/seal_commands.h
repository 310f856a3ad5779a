// An operator seals the KME, and unseals it: the master key and all that it opens go from memory and come back.
// docs/adr/0021-seal.md has the reasons.
//
// Operation: any thread; the work is done on the engine's, and a master key is fetched on a thread of its own. Both may
// be asked for at any time: what is so already stays so, and is no error.
// Limits: one attempt to unseal at a time, and none for kPause after one that was refused. Asking without anything
// typed what has to be typed (kUnauthorised) is no attempt.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>

#include "server/engine_thread.h"
#include "server/key_fetcher.h"
#include "server/store_commands.h"
#include "storage/sealable_store.h"

namespace qkms::server {

class SealCommands {
 public:
  using Answer = StoreCommands::Answer;
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kPause{3};

  // Called on the engine's thread.
  struct Hooks {
    std::function<void()> closing;  // nothing may refer to the open store afterwards
    std::function<void()> opened;   // the store is open: time to tell what was found in it
  };

  // `source` says where the master key comes from at the time of asking. All must outlive this.
  SealCommands(EngineThread& engine, storage::SealableStore& store, std::function<storage::MasterKeySource()> source,
               Hooks hooks)
      : engine_(engine), store_(store), hooks_(std::move(hooks)), keys_(std::move(source)) {}

  // When this is answered, nothing in the process opens key material any more, and no stored key is in its memory.
  void seal(std::string who, Answer answer);
  // `typed` is what the operator typed for the master key, if anything.
  void unseal(std::string who, SecretBytes typed, Answer answer);
  // No unsealing after this; waits for a master key that is being fetched.
  void stop() { keys_.stop(); }

  std::uint64_t refused() const { return refused_; }

 private:
  // Of the attempt that is under way.
  struct Attempt {
    std::string who;
    std::string where;  // where the key comes from
    Answer answer;
  };

  void seal_now(const std::string& who, Answer answer);
  void open(Attempt attempt, SecretBytes master_key);
  void refuse(Attempt attempt, const Error& why);

  EngineThread& engine_;
  storage::SealableStore& store_;
  const Hooks hooks_;
  std::atomic<std::uint64_t> refused_ = 0;
  std::atomic<Clock::time_point> not_before_{Clock::time_point::min()};
  KeyFetcher keys_;  // the first to go: it touches all of the above
};

}  // namespace qkms::server
