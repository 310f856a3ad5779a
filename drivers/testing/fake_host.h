// For tests of drivers: a host that keeps what it gets, and waits for it with a deadline.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "drivers/driver.h"

namespace qkms::drivers {

class KeepingHost final : public DriverHost {
 public:
  Result<void> offer(Block block) override {
    const std::lock_guard lock(mutex_);
    blocks_.push_back(std::move(block));
    changed_.notify_all();
    return {};
  }
  void report(DeviceReport report) override {
    const std::lock_guard lock(mutex_);
    reports_.push_back(std::move(report));
    changed_.notify_all();
  }
  void tell_twin(std::string note) override {
    const std::lock_guard lock(mutex_);
    notes_.push_back(note);
    if (twin_ != nullptr) twin_->hear(std::move(note));
    changed_.notify_all();
  }
  // Who hears what this host's driver tells.
  void set_twin(Driver* twin) {
    const std::lock_guard lock(mutex_);
    twin_ = twin;
  }
  void reject(std::string why) override {
    const std::lock_guard lock(mutex_);
    rejected_.push_back(std::move(why));
    changed_.notify_all();
  }

  bool wait_for_blocks(std::size_t count) {
    return wait([=, this] { return blocks_.size() >= count; });
  }
  bool wait_for_rejections(std::size_t count) {
    return wait([=, this] { return rejected_.size() >= count; });
  }
  bool wait_for_reports(std::size_t count) {
    return wait([=, this] { return reports_.size() >= count; });
  }

  // Of a driver that has ended, or with nothing under way.
  const std::vector<Block>& blocks() const { return blocks_; }
  const std::vector<DeviceReport>& reports() const { return reports_; }
  const std::vector<std::string>& rejected() const { return rejected_; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  bool wait(const std::function<bool()>& until) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), until);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Block> blocks_;
  std::vector<DeviceReport> reports_;
  std::vector<std::string> rejected_, notes_;
  Driver* twin_ = nullptr;
};

// Runs a driver on a thread until it goes.
class RunningDriver {
 public:
  RunningDriver(Driver& driver, DriverHost& host)
      : thread_([this, &driver, &host](const std::stop_token& stopping) { outcome_ = driver.run(host, stopping); }) {}
  // What run() returned.
  Result<void> stop() {
    thread_.request_stop();
    thread_.join();
    return outcome_;
  }
  Result<void> wait() {
    thread_.join();
    return outcome_;
  }

 private:
  Result<void> outcome_;
  std::jthread thread_;
};

}  // namespace qkms::drivers
