#include "drivers/supervisor.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "drivers/health.h"

namespace qkms::drivers {
namespace {

constexpr std::size_t kLeastCost = 1024;      // bytes that a block counts for: small ones cost the engine as much
constexpr std::int64_t kBurstUs = 1'000'000;  // of max_rate_bps may come at once
constexpr Millis kFullMs = 50;                // while the reservoir is full
constexpr Millis kRetryMs = 5;                // while the engine's queue is full
constexpr Millis kHealthyRunMs = 60'000;      // a run that lasted so long starts the back-off anew

std::int64_t now_us() {
  using namespace std::chrono;
  return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

Millis now_ms() { return now_us() / 1000; }

SecretBytes random_key() {
  SecretBytes key(32);
  // Without randomness nothing in this process works; digests under a key of zeroes would still find repetitions.
  static_cast<void>(RAND_bytes(key.reveal_mutable().data(), static_cast<int>(key.size())));
  return key;
}

}  // namespace

// All that the driver's thread touches.
class LinkSupervisor::Shared final : public DriverHost {
 public:
  Shared(SupervisorSettings settings, std::unique_ptr<Driver> driver, BlockSink& sink)
      : settings_(std::move(settings)),
        driver_(std::move(driver)),
        sink_(&sink),
        health_(random_key()),
        watch_(settings_.link, std::string(driver_->kind()), driver_->simulated(), settings_.silence_ms, now_ms()) {}

  void run();
  bool stop_within(Millis limit);
  LinkStatus status() const {
    const std::lock_guard lock(mutex_);
    return watch_.status(now_ms());
  }
  Result<std::string> probe() { return driver_->probe(); }
  void hear(std::string note) { driver_->hear(std::move(note)); }
  void fill(bool full) {
    const std::lock_guard lock(mutex_);
    full_ = full;
  }
  void mismatched() {
    const std::lock_guard lock(mutex_);
    watch_.mismatched(now_ms());
  }

  Result<void> offer(Block block) override;
  void report(DeviceReport report) override {
    const std::lock_guard lock(mutex_);
    watch_.report(std::move(report));
  }
  void tell_twin(std::string note) override {
    const std::lock_guard lock(mutex_);
    if (sink_ != nullptr && note.size() <= kMaxNoteBytes) sink_->tell_twin(settings_.link, std::move(note));
  }
  void reject(std::string why) override {
    const std::lock_guard lock(mutex_);
    watch_.rejected(std::move(why), now_ms());
  }

 private:
  Result<void> run_once();
  bool pause(Millis length);
  bool wait_for_allowance(std::size_t bytes);
  Result<void> pass_on(Block block);
  void quarantine(const Block& block, const std::string& why);

  const SupervisorSettings settings_;
  const std::unique_ptr<Driver> driver_;
  std::stop_source stop_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  BlockSink* sink_;  // null: cut off
  bool ended_ = false;
  bool full_ = false;
  HealthTests health_;  // the driver's thread only
  LinkWatch watch_;
  std::int64_t paid_until_us_ = 0;  // what was let in uses the rate up until then
};

void LinkSupervisor::Shared::run() {
  Millis length = settings_.first_pause_ms;
  while (!stop_.stop_requested()) {
    const Millis began = now_ms();
    {
      const std::lock_guard lock(mutex_);
      watch_.state(LinkState::kRunning, {}, began);
    }
    const Result<void> ended = run_once();
    wipe_traces();
    if (stop_.stop_requested()) break;
    if (now_ms() - began >= kHealthyRunMs) length = settings_.first_pause_ms;
    {
      const std::lock_guard lock(mutex_);
      watch_.state(LinkState::kWaiting, ended ? "the driver ended by itself" : ended.error().text, now_ms());
    }
    if (!pause(length)) break;
    length = std::min(2 * length, settings_.longest_pause_ms);
  }
  const std::lock_guard lock(mutex_);
  watch_.state(LinkState::kStopped, {}, now_ms());
  ended_ = true;
  changed_.notify_all();
}

Result<void> LinkSupervisor::Shared::run_once() {
  try {
    return driver_->run(*this, stop_.get_token());
  } catch (const std::exception& error) {
    return fail(ErrorCode::kInternal, fmt::format("the driver failed: {}", error.what()));
  }
}

// False: the driver is to stop.
bool LinkSupervisor::Shared::pause(Millis length) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, std::chrono::milliseconds(length), [this] { return stop_.stop_requested(); });
}

bool LinkSupervisor::Shared::stop_within(Millis limit) {
  stop_.request_stop();
  std::unique_lock lock(mutex_);
  changed_.notify_all();
  const bool ended = changed_.wait_for(lock, std::chrono::milliseconds(limit), [this] { return ended_; });
  sink_ = nullptr;
  if (!ended) watch_.state(LinkState::kHung, "the driver does not stop", now_ms());
  return ended;
}

// The rate as a bucket that leaks: what was let in is paid for in time.
bool LinkSupervisor::Shared::wait_for_allowance(std::size_t bytes) {
  const std::int64_t now = now_us();
  const std::uint64_t cost_bits = std::max(bytes, kLeastCost) * 8;
  paid_until_us_ =
      std::max(paid_until_us_, now - kBurstUs) +
      static_cast<std::int64_t>(cost_bits * 1'000'000 / std::max<std::uint64_t>(1, settings_.max_rate_bps));
  if (paid_until_us_ <= now) return true;
  {
    const std::lock_guard lock(mutex_);
    watch_.flooding(now / 1000);
  }
  return pause(1 + (paid_until_us_ - now) / 1000);
}

Result<void> LinkSupervisor::Shared::offer(Block block) {
  if (block.bits.size() < kMinBlockBytes || block.bits.size() > kMaxBlockBytes) {
    std::string why =
        fmt::format("a block of {} bytes; accepted: {} to {}", block.bits.size(), kMinBlockBytes, kMaxBlockBytes);
    reject(why);
    return fail(ErrorCode::kInvalid, std::move(why));
  }
  if (!wait_for_allowance(block.bits.size())) return fail(ErrorCode::kClosed, "the driver is to stop");
  const std::string finding = health_.examine(block);
  std::string why;
  {
    const std::lock_guard lock(mutex_);
    why = watch_.judge(finding, now_ms());
  }
  if (why.empty()) return pass_on(std::move(block));
  quarantine(block, why);
  return fail(ErrorCode::kInvalid, std::move(why));
}

void LinkSupervisor::Shared::quarantine(const Block& block, const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (sink_ != nullptr) sink_->quarantined(settings_.link, block.id, block.bits.size(), why);
}

Result<void> LinkSupervisor::Shared::pass_on(Block block) {
  const std::size_t bytes = block.bits.size();
  Millis wait = 0;
  do {
    const std::lock_guard lock(mutex_);
    if (sink_ == nullptr) break;
    if (full_) {
      watch_.hold("the reservoir is full");
      wait = kFullMs;
      continue;
    }
    const Result<void> taken = sink_->offer(settings_.link, block);
    const bool later = !taken && taken.error().code == ErrorCode::kOverloaded;
    watch_.hold(later ? taken.error().text : "");
    if (taken) watch_.let_in(bytes, now_ms());
    if (!later) return taken;
    wait = kRetryMs;
  } while (pause(wait));
  return fail(ErrorCode::kClosed, "the driver is to stop");
}

LinkSupervisor::LinkSupervisor(SupervisorSettings settings, std::unique_ptr<Driver> driver, BlockSink& sink)
    : shared_(std::make_shared<Shared>(std::move(settings), std::move(driver), sink)) {}

LinkSupervisor::~LinkSupervisor() { stop(); }

void LinkSupervisor::start() {
  thread_ = std::thread([shared = shared_] { shared->run(); });
}

void LinkSupervisor::stop() {
  if (!thread_.joinable()) return;
  if (shared_->stop_within(kStopMs)) {
    thread_.join();
  } else {
    thread_.detach();  // it has a share in all that it touches
  }
}

LinkStatus LinkSupervisor::status() const { return shared_->status(); }

Result<std::string> LinkSupervisor::probe() { return shared_->probe(); }

void LinkSupervisor::fill(bool full) { shared_->fill(full); }

void LinkSupervisor::hear(std::string note) { shared_->hear(std::move(note)); }

void LinkSupervisor::mismatched() { shared_->mismatched(); }

}  // namespace qkms::drivers
