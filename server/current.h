// A value that is replaced as a whole while others read it: what a reload changes under requests that are under way.
// Whoever has got one keeps it, and sees no half of a change. Thread rule: any thread.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

namespace qkms::server {

template <class T>
class Current {
 public:
  explicit Current(T value) : value_(std::make_shared<const T>(std::move(value))) {}

  std::shared_ptr<const T> get() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  void replace(T value) {
    auto next = std::make_shared<const T>(std::move(value));
    const std::lock_guard lock(mutex_);
    value_.swap(next);  // the old one goes after the lock
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;
};

}  // namespace qkms::server
