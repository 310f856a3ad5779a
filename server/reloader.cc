#include "server/reloader.h"

#include <utility>

namespace qkms::server {

Reloader::Reloader(std::function<Outcome(std::string_view who)> work)
    : work_(std::move(work)), thread_([this] { run(); }) {}

void Reloader::request(std::string who, Completion done) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      asked_.push_back({std::move(who), std::move(done)});
      wake_.notify_one();
      return;
    }
  }
  done(fail(ErrorCode::kClosed, "the daemon is stopping"));
}

void Reloader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Reloader::run() {
  for (;;) {
    std::vector<Asked> waiting;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !asked_.empty(); });
      if (asked_.empty()) return;
      waiting.swap(asked_);
    }
    const Outcome outcome = work_(waiting.front().who);
    for (Asked& asked : waiting) asked.done(outcome);
  }
}

}  // namespace qkms::server
