// The surprise: in an open loop a request's clock starts when it was due, not when a connection became free for it, so
// that a stall of the server shows in every request that it held up.
#include "bench/loadgen/worker.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <system_error>

namespace qkms::bench {
namespace {

constexpr std::int64_t kMillisecond = 1'000'000;
constexpr std::int64_t kRest = 10 * kMillisecond;
constexpr std::int64_t kSweep = 100 * kMillisecond;
constexpr std::size_t kBufferBytes = 17 * 1024;  // a full TLS record and its head

double thread_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::int64_t to_ns(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

}  // namespace

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

Worker::Worker(Run& run, std::uint32_t connections)
    : run_(run), epoll_(epoll_create1(EPOLL_CLOEXEC)), buffer_(kBufferBytes) {
  if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll");
  for (std::uint32_t i = 0; i < connections; ++i) exchanges_.push_back(std::make_unique<Exchange>());
}

Worker::~Worker() {
  exchanges_.clear();
  ::close(epoll_);
  OPENSSL_cleanse(buffer_.data(), buffer_.size());
}

void Worker::connect() {
  for (auto& exchange : exchanges_) {
    if (run_.options.connection_use == ConnectionUse::kNewPerRequest) {
      idle_.push_back(exchange.get());
      continue;
    }
    exchange->open(run_.endpoint, run_.tls);
    watch(*exchange);
    ++under_way_;
    if (!exchange->under_way()) finish(*exchange, now_ns());
  }
  while (under_way_ > 0) wait_and_drive();
  if (!exchanges_.empty() && exchanges_.front()->state() == Exchange::State::kIdle) {
    tally_.tls = exchanges_.front()->connection().description();
  }
}

void Worker::run(std::int64_t start_ns, std::uint32_t index) {
  const Options& o = run_.options;
  plan_.measure_from = start_ns + to_ns(o.warmup_seconds);
  plan_.stop_at = plan_.measure_from + to_ns(o.seconds);
  if (o.rate) plan_.interval = to_ns(o.threads / *o.rate);
  plan_.next_due = start_ns + plan_.interval * index / o.threads;
  tally_.first_ns = plan_.measure_from;
  cpu_before_ = thread_cpu_seconds();
  bool warm = false;
  while (!stopped_ || under_way_ > 0) {
    if (!warm && now_ns() >= plan_.measure_from) {
      warm = true;
      cpu_before_ = thread_cpu_seconds();
    }
    issue_all();
    if (!stopped_ || under_way_ > 0) wait_and_drive();
  }
  tally_.cpu_seconds = thread_cpu_seconds() - cpu_before_;
}

void Worker::issue_all() {
  while (!stopped_) {
    const std::int64_t now = now_ns();
    if (now >= plan_.stop_at) return stop(now);
    wake_resting(now);
    if (idle_.empty() || !may_issue(now)) return;
    Exchange& exchange = *idle_.front();
    if (!run_.workload.next(exchange.request())) {
      tally_.ran_out = true;
      return stop(now);
    }
    if (!issue(exchange, now)) return stop(now);
  }
}

bool Worker::may_issue(std::int64_t now) { return plan_.interval == 0 || plan_.next_due <= now; }

// False: the measured requests of the run have all been claimed.
bool Worker::issue(Exchange& exchange, std::int64_t now) {
  const std::int64_t due = plan_.interval == 0 ? now : plan_.next_due;
  const bool measured = due >= plan_.measure_from;
  if (measured && run_.options.requests) {
    if (run_.measured_requests.fetch_add(1, std::memory_order_relaxed) >= *run_.options.requests) return false;
  }
  idle_.pop_front();
  plan_.next_due += plan_.interval;
  ++under_way_;
  exchange.deadline_ns = now + run_.options.timeout_ms * kMillisecond;
  if (exchange.state() == Exchange::State::kClosed) {
    exchange.open(run_.endpoint, run_.tls);
    watch(exchange);
  }
  exchange.begin(due, measured ? Exchange::Measured::kYes : Exchange::Measured::kNo);
  if (!exchange.under_way()) finish(exchange, now_ns());
  return true;
}

void Worker::stop(std::int64_t now) {
  stopped_ = true;
  const std::int64_t end = std::min(now, plan_.stop_at);
  if (plan_.interval > 0 && plan_.next_due < end && !tally_.ran_out) {
    tally_.unsent = static_cast<std::uint64_t>((end - plan_.next_due) / plan_.interval);
  }
}

void Worker::wait_and_drive() {
  std::array<epoll_event, 128> events;
  const std::int64_t timeout = wait_ns(now_ns());
  const timespec wait{timeout / (1000 * kMillisecond), timeout % (1000 * kMillisecond)};
  const int count = epoll_pwait2(epoll_, events.data(), events.size(), &wait, nullptr);
  std::int64_t now = now_ns();
  for (int i = 0; i < count; ++i) {
    auto& exchange = *static_cast<Exchange*>(events[static_cast<std::size_t>(i)].data.ptr);
    const bool was_under_way = exchange.under_way();
    exchange.advance(buffer_);
    now = now_ns();
    if (was_under_way && !exchange.under_way()) finish(exchange, now);
  }
  if (now >= next_sweep_ns_) end_late_ones(now);
}

std::int64_t Worker::wait_ns(std::int64_t now) const {
  std::int64_t wake = now + kSweep;
  if (!resting_.empty()) wake = std::min(wake, resting_.front()->deadline_ns);
  if (!stopped_ && plan_.interval > 0 && !idle_.empty()) wake = std::min(wake, plan_.next_due);
  if (!stopped_ && plan_.stop_at > 0) wake = std::min(wake, plan_.stop_at);
  return std::max<std::int64_t>(wake - now, 0);
}

void Worker::watch(Exchange& exchange) {
  if (!exchange.under_way()) return;
  ++tally_.connections_opened;
  exchange.deadline_ns = now_ns() + run_.options.timeout_ms * kMillisecond;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &exchange;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, exchange.connection().fd(), &event) != 0) exchange.fail(Failure::kConnect);
}

void Worker::finish(Exchange& exchange, std::int64_t now) {
  --under_way_;
  const bool failed = exchange.state() == Exchange::State::kFailed;
  if (exchange.has_request()) count(exchange, now);
  exchange.settle();
  if (run_.options.connection_use == ConnectionUse::kNewPerRequest) exchange.close();
  if (failed) {
    exchange.deadline_ns = now + kRest;
    resting_.push_back(&exchange);
  } else {
    idle_.push_back(&exchange);
  }
}

void Worker::count(const Exchange& exchange, std::int64_t now) {
  const int status = exchange.response().status();
  const bool answered = exchange.state() == Exchange::State::kAnswered;
  const std::size_t keys = run_.workload.keys_in_answer();
  const bool wrong_keys = answered && status == 200 && keys > 0 && exchange.ids().size() != keys;
  const bool ok = answered && status == 200 && !wrong_keys;
  if (ok && !run_.options.ids_out.empty() && ids_.size() + keys <= run_.options.max_ids / run_.options.threads) {
    ids_.insert(ids_.end(), exchange.ids().begin(), exchange.ids().end());
  }
  if (!exchange.measured()) {
    ++tally_.warmup_requests;
    if (!ok) ++tally_.warmup_errors;
    return;
  }
  tally_.last_ns = std::max(tally_.last_ns, now);
  if (!answered || wrong_keys) {
    ++tally_.failures[static_cast<std::size_t>(wrong_keys ? Failure::kWrongKeys : exchange.failure())];
    return;
  }
  ++tally_.by_status[static_cast<std::size_t>(status)];
  if (!ok) return;
  tally_.latency.add(static_cast<std::uint64_t>(now - exchange.due_ns()));
  tally_.body_bytes += exchange.response().body_bytes();
}

void Worker::end_late_ones(std::int64_t now) {
  next_sweep_ns_ = now + kSweep;
  for (auto& exchange : exchanges_) {
    if (!exchange->under_way() || now < exchange->deadline_ns) continue;
    exchange->fail(Failure::kTimeout);
    finish(*exchange, now);
  }
}

void Worker::wake_resting(std::int64_t now) {
  while (!resting_.empty() && resting_.front()->deadline_ns <= now) {
    idle_.push_back(resting_.front());
    resting_.pop_front();
  }
}

}  // namespace qkms::bench
