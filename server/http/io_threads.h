// The threads that all HTTPS connections live on: each has an event loop of its own, with a queue beside it for work
// that may wait, and a connection never changes its thread.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "server/http/later.h"

namespace qkms::server::http {

class IoThreads {
 public:
  // 0: one per core.
  explicit IoThreads(std::size_t count);
  ~IoThreads() { stop(); }
  IoThreads(const IoThreads&) = delete;
  IoThreads& operator=(const IoThreads&) = delete;

  // Lets the threads end by themselves once all listeners have been stopped and nothing is left to do. If something is
  // left all the same, that is dropped after a short while.
  void stop();

  std::size_t size() const { return threads_.size(); }
  boost::asio::io_context& at(std::size_t index) { return threads_[index]->io; }
  LaterQueue& later_at(std::size_t index) { return threads_[index]->later; }

 private:
  struct Thread {
    boost::asio::io_context io{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{io.get_executor()};
    LaterQueue later{io};
    std::promise<void> ended;
    void run();
    std::thread thread;
  };
  std::vector<std::unique_ptr<Thread>> threads_;
};

}  // namespace qkms::server::http
