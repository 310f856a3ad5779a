// The thread around SimulatedLink: it waits until something is due and offers it. All decisions are in
// simulated_link.cc.
#include "drivers/simulated.h"

#include <algorithm>
#include <chrono>
#include <random>

#include "base/secret.h"
#include "drivers/simulated_link.h"
#include "drivers/waiter.h"

namespace qkms::drivers {
namespace {

constexpr Millis kLongestWaitMs = 1000;

Millis wall_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

class SimulatedDriver final : public Driver {
 public:
  SimulatedDriver(LinkId link, SimulatedSettings settings) : link_(std::move(link)), settings_(std::move(settings)) {}

  Result<void> run(DriverHost& host, std::stop_token stopping) override {
    const auto waiter = Waiter::make(stopping);
    if (!waiter) return std::unexpected(waiter.error());
    SimulatedLink source(link_, settings_, std::random_device{}(), wall_ms());
    for (;;) {
      host.report(source.report(wall_ms()));
      // In pieces, because wall time can jump while the thread waits on the steady clock.
      const Millis left = source.next_due().value_or(wall_ms() + kLongestWaitMs) - wall_ms();
      if ((*waiter)->sleep(std::clamp<Millis>(left, 0, kLongestWaitMs)) == Waiter::Woken::kStop) return {};
      for (Block& block : source.take_due(wall_ms())) {
        const Result<void> taken = host.offer(std::move(block));
        if (!taken && taken.error().code == ErrorCode::kClosed) return {};
      }
      wipe_traces();
    }
  }

  Result<std::string> probe() override { return "a simulated link is always there; its keys are not secret"; }
  std::string_view kind() const override { return "simulated"; }
  bool simulated() const override { return true; }

 private:
  const LinkId link_;
  const SimulatedSettings settings_;
};

}  // namespace

std::unique_ptr<Driver> make_simulated_driver(LinkId link, SimulatedSettings settings) {
  return std::make_unique<SimulatedDriver>(std::move(link), std::move(settings));
}

}  // namespace qkms::drivers
