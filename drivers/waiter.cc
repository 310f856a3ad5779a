#include "drivers/waiter.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <system_error>

namespace qkms::drivers {
namespace {

Millis now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace

void Waiter::Wake::operator()() const {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(descriptor, &one, sizeof one));  // fails only when it is readable already
}

Result<std::unique_ptr<Waiter>> Waiter::make(std::stop_token stopping) {
  FileDescriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.is_open()) return fail(ErrorCode::kIo, "cannot make an eventfd: " + std::generic_category().message(errno));
  return std::unique_ptr<Waiter>(new Waiter(std::move(wake), std::move(stopping)));
}

Waiter::Woken Waiter::wait(int descriptor, short events, Millis limit_ms) {
  const Millis until = limit_ms < 0 ? 0 : now_ms() + limit_ms;
  for (;;) {
    pollfd polled[2] = {{wake_.get(), POLLIN, 0}, {descriptor, events, 0}};  // poll(2) passes over descriptor -1
    const Millis left = limit_ms < 0 ? -1 : std::clamp<Millis>(until - now_ms(), 0, INT_MAX);
    const int ready = ::poll(polled, 2, static_cast<int>(left));
    if (polled[0].revents != 0) return Woken::kStop;
    if (ready > 0) return Woken::kReady;
    if (ready == 0) return Woken::kTime;
    if (errno != EINTR) return Woken::kReady;  // the descriptor's next call will say what is wrong
  }
}

}  // namespace qkms::drivers
