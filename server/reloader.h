// Reloads, one at a time, on a thread of their own: reading files and certificates may take a moment, and neither the
// signal's nor a connection's thread has one. Who asks while one runs gets the next one; all who wait for the same one
// get the same outcome.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"

namespace qkms::server {

class Reloader {
 public:
  // What could not be put in force before the next start, by option. An error: nothing was changed.
  using Outcome = Result<std::vector<std::string>>;
  using Completion = std::move_only_function<void(const Outcome&)>;

  explicit Reloader(std::function<Outcome(std::string_view who)> work);
  ~Reloader() { stop(); }

  // Thread rule: any thread. `done` is called once, on the reloader's thread, or at once when it has stopped.
  void request(std::string who, Completion done);
  void stop();

 private:
  void run();

  struct Asked {
    std::string who;
    Completion done;
  };
  const std::function<Outcome(std::string_view who)> work_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Asked> asked_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace qkms::server
