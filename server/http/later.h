// Work that may wait: handlers of an I/O thread that run when nothing else is ready, or when they have waited for their
// share. TLS handshakes are such work: each takes milliseconds, and whoever floods us with them must not make the
// requests of others wait.
//
// Operation: a coroutine that is spawned on a LaterExecutor has all its handlers run as later work; IoThreads runs the
// queue. Concurrency: the queue's own thread only. Fairness: after a handler that took t, others go first for 3t: so
// later work gets at least a quarter of a busy thread, and all of an idle one.
#pragma once

#include <boost/asio/execution.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <utility>

namespace qkms::server::http {

class LaterQueue {
 public:
  using Clock = std::chrono::steady_clock;

  explicit LaterQueue(boost::asio::io_context& io) : io_(io) {}
  LaterQueue(const LaterQueue&) = delete;
  LaterQueue& operator=(const LaterQueue&) = delete;

  boost::asio::io_context& io() const { return io_; }
  bool empty() const { return items_.empty(); }
  bool due() const { return !items_.empty() && Clock::now() >= next_at_; }

  void add(std::move_only_function<void()> work) {
    items_.push_back({std::move(work), boost::asio::make_work_guard(io_)});
  }

  void run_one() {
    Item item = std::move(items_.front());
    items_.pop_front();
    const auto begin = Clock::now();
    item.work();
    const auto end = Clock::now();
    next_at_ = end + 3 * (end - begin);
  }

 private:
  struct Item {
    std::move_only_function<void()> work;
    // The loop is not out of work while this waits.
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard;
  };

  boost::asio::io_context& io_;
  std::deque<Item> items_;
  Clock::time_point next_at_{};
};

// What Asio asks of an executor (boost.org/doc/libs/1_81_0/doc/html/boost_asio/overview/model/executors.html).
class LaterExecutor {
 public:
  explicit LaterExecutor(LaterQueue& queue) : queue_(&queue) {}

  template <class Function>
  void execute(Function function) const {
    queue_->add(std::move(function));
  }
  boost::asio::io_context& query(boost::asio::execution::context_t) const noexcept { return queue_->io(); }
  static constexpr boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) noexcept {
    return boost::asio::execution::blocking.never;
  }
  bool operator==(const LaterExecutor&) const noexcept = default;

 private:
  LaterQueue* queue_;
};

}  // namespace qkms::server::http
