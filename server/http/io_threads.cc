#include "server/http/io_threads.h"

#include <algorithm>
#include <chrono>

#include "base/secret.h"

namespace qkms::server::http {

IoThreads::IoThreads(std::size_t count) {
  if (count == 0) count = std::max(1u, std::thread::hardware_concurrency());
  for (std::size_t i = 0; i < count; ++i) {
    auto& one = *threads_.emplace_back(std::make_unique<Thread>());
    one.thread = std::thread([&one] {
      one.run();
      one.ended.set_value();
    });
  }
}

// Like io.run(), with the later queue's share in between. Before it sleeps, the thread forgets the keys that it
// handled.
void IoThreads::Thread::run() {
  while (!io.stopped()) {
    const bool idle = io.poll_one() == 0;
    if (later.due() || (idle && !later.empty())) {
      later.run_one();
    } else if (idle && !io.stopped()) {
      wipe_traces();
      io.run_one();
    }
  }
}

void IoThreads::stop() {
  constexpr auto kPatience = std::chrono::seconds(2);
  for (auto& one : threads_) one->work.reset();
  for (auto& one : threads_) {
    if (!one->thread.joinable()) continue;
    if (one->ended.get_future().wait_for(kPatience) != std::future_status::ready) one->io.stop();
    one->thread.join();
  }
}

}  // namespace qkms::server::http
