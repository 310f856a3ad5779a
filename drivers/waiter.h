// Waiting for a descriptor without missing the order to stop: for drivers that do I/O.
//
// Concurrency: one thread; the stop may come from any.
#pragma once

#include <memory>
#include <stop_token>

#include "base/error.h"
#include "base/file_descriptor.h"
#include "base/time.h"

namespace qkms::drivers {

class Waiter {
 public:
  enum class Woken { kReady, kTime, kStop };

  // kIo: no descriptor left.
  static Result<std::unique_ptr<Waiter>> make(std::stop_token stopping);
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // Until `descriptor` has one of `events` (poll(2)), or `limit_ms` have passed; a negative limit is none. -1 waits for
  // time alone.
  Woken wait(int descriptor, short events, Millis limit_ms);
  Woken sleep(Millis limit_ms) { return wait(-1, 0, limit_ms); }

 private:
  struct Wake {
    int descriptor;
    void operator()() const;
  };
  Waiter(FileDescriptor wake, std::stop_token stopping)
      : wake_(std::move(wake)), on_stop_(std::move(stopping), Wake{wake_.get()}) {}

  const FileDescriptor wake_;  // outlives the callback that writes to it
  std::stop_callback<Wake> on_stop_;
};

}  // namespace qkms::drivers
