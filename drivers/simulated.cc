// The thread around SimulatedLink: it waits until something is due and offers it. All decisions are in
// simulated_link.cc.
#include "drivers/simulated.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "base/secret.h"
#include "drivers/simulated_link.h"

namespace qkms::drivers {
namespace {

Millis wall_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

class SimulatedDriver final : public Driver {
 public:
  SimulatedDriver(LinkId link, SimulatedSettings settings, BlockSink& sink)
      : link_(std::move(link)), settings_(std::move(settings)), sink_(sink) {}
  ~SimulatedDriver() override { stop(); }

  void start() override {
    thread_ = std::jthread([this](std::stop_token stopping) { run(stopping); });
  }

  void stop() override {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
  }

  std::string_view kind() const override { return "simulated"; }
  bool simulated() const override { return true; }

 private:
  void run(std::stop_token stopping) {
    SimulatedLink source(link_, settings_, std::random_device{}(), wall_ms());
    while (!stopping.stop_requested()) {
      wait_for_next(source, stopping);
      // A refused block is dropped: whoever refuses counts it, and the other end's block expires.
      for (Block& block : source.take_due(wall_ms())) static_cast<void>(sink_.offer(link_, std::move(block)));
      wipe_traces();
    }
  }

  // Waits are cut in pieces because wall time can jump while the thread waits on the steady clock.
  void wait_for_next(const SimulatedLink& source, const std::stop_token& stopping) {
    constexpr Millis kLongestWait = 1000;
    const Millis left = source.next_due().value_or(wall_ms() + kLongestWait) - wall_ms();
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stopping, std::chrono::milliseconds(std::clamp<Millis>(left, 0, kLongestWait)),
                   [] { return false; });
  }

  const LinkId link_;
  const SimulatedSettings settings_;
  BlockSink& sink_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace

std::unique_ptr<Driver> make_simulated_driver(LinkId link, SimulatedSettings settings, BlockSink& sink) {
  return std::make_unique<SimulatedDriver>(std::move(link), std::move(settings), sink);
}

}  // namespace qkms::drivers
