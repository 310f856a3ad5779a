// T30: a driver may block, fail, flood or lie.
#include "drivers/supervisor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stdexcept>

#include "drivers/testing/bits.h"

namespace qkms::drivers {
namespace {

const LinkId kLink = LinkId::parse("A-B").value();

Block block_of(std::uint32_t number, std::size_t size = 64) {
  BlockId::Bytes id{};
  id[0] = static_cast<std::uint8_t>(number >> 8);
  id[1] = static_cast<std::uint8_t>(number);
  return {BlockId(id), random_bits(size, number)};
}

class Sink final : public BlockSink {
 public:
  Result<void> offer(const LinkId&, Block& block) override {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
    if (overloaded_ > 0) {
      --overloaded_;
      return fail(ErrorCode::kOverloaded, "full");
    }
    taken_.push_back(std::move(block));
    return {};
  }
  void tell_twin(const LinkId&, std::string) override {}
  void quarantined(const LinkId&, const BlockId&, std::size_t, const std::string& why) override {
    const std::lock_guard lock(mutex_);
    quarantined_.push_back(why);
    changed_.notify_all();
  }
  void overload(int times) { overloaded_ = times; }
  bool wait(const std::function<bool(std::size_t taken, std::size_t quarantined)>& until) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return until(taken_.size(), quarantined_.size()); });
  }
  std::vector<Block> taken_;
  std::vector<std::string> quarantined_;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int overloaded_ = 0;
};

// What it does is given as a function; it counts its runs.
class Scripted final : public Driver {
 public:
  using Script = std::function<Result<void>(int run, DriverHost& host, const std::stop_token& stopping)>;
  explicit Scripted(Script script) : script_(std::move(script)) {}
  Result<void> run(DriverHost& host, std::stop_token stopping) override { return script_(++runs_, host, stopping); }
  Result<std::string> probe() override { return "scripted"; }
  std::string_view kind() const override { return "scripted"; }

 private:
  Script script_;
  std::atomic<int> runs_ = 0;
};

void wait_for_stop(const std::stop_token& stopping) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait(lock, stopping, [] { return false; });
}

SupervisorSettings settings() {
  SupervisorSettings settings;
  settings.link = kLink;
  settings.first_pause_ms = 1;
  settings.longest_pause_ms = 4;
  return settings;
}

TEST(LinkSupervisor, StartsADriverAgainThatFailsOrThrows) {
  Sink sink;
  LinkSupervisor link(settings(),
                      std::make_unique<Scripted>([](int run, DriverHost& host, const std::stop_token& stopping) {
                        if (run == 1) return Result<void>(fail(ErrorCode::kIo, "the device is gone"));
                        if (run == 2) throw std::runtime_error("a library's exception");
                        if (run == 3) return Result<void>();  // for no reason
                        static_cast<void>(host.offer(block_of(1)));
                        wait_for_stop(stopping);
                        return Result<void>();
                      }),
                      sink);
  link.start();
  ASSERT_TRUE(sink.wait([](std::size_t taken, std::size_t) { return taken == 1; }));
  link.stop();
  const LinkStatus status = link.status();
  EXPECT_EQ(status.state, LinkState::kStopped);
  EXPECT_EQ(status.restarts, 3u);
  ASSERT_EQ(status.incidents.size(), 3u);
  EXPECT_EQ(status.incidents[0].text, "the device is gone");
  EXPECT_EQ(status.incidents[1].text, "the driver failed: a library's exception");
  EXPECT_EQ(status.incidents[2].text, "the driver ended by itself");
}

TEST(LinkSupervisor, WaitsWithABlockWhileTheEngineIsBehind) {
  Sink sink;
  sink.overload(3);
  LinkSupervisor link(settings(),
                      std::make_unique<Scripted>([](int, DriverHost& host, const std::stop_token& stopping) {
                        EXPECT_TRUE(host.offer(block_of(1)));
                        wait_for_stop(stopping);
                        return Result<void>();
                      }),
                      sink);
  link.start();
  ASSERT_TRUE(sink.wait([](std::size_t taken, std::size_t) { return taken == 1; }));
  link.stop();
  EXPECT_EQ(link.status().held, "");
  EXPECT_TRUE(sink.taken_[0].bits.equals(random_bits(64, 1)));
}

TEST(LinkSupervisor, LeavesKeyMaterialWithTheDeviceWhileTheReservoirIsFull) {
  Sink sink;
  LinkSupervisor link(settings(),
                      std::make_unique<Scripted>([](int, DriverHost& host, const std::stop_token& stopping) {
                        EXPECT_TRUE(host.offer(block_of(1)));
                        wait_for_stop(stopping);
                        return Result<void>();
                      }),
                      sink);
  link.fill(true);
  link.start();
  while (link.status().held != "the reservoir is full") std::this_thread::yield();
  EXPECT_TRUE(sink.taken_.empty());
  link.fill(false);
  ASSERT_TRUE(sink.wait([](std::size_t taken, std::size_t) { return taken == 1; }));
  link.stop();
  EXPECT_EQ(link.status().held, "");
}

TEST(LinkSupervisor, KeepsOutBitsThatCameBefore) {
  Sink sink;
  LinkSupervisor link(settings(),
                      std::make_unique<Scripted>([](int, DriverHost& host, const std::stop_token& stopping) {
                        EXPECT_TRUE(host.offer(block_of(1)));
                        Block again = block_of(2);
                        again.bits = random_bits(64, 1);
                        EXPECT_EQ(host.offer(std::move(again)).error().code, ErrorCode::kInvalid);
                        wait_for_stop(stopping);
                        return Result<void>();
                      }),
                      sink);
  link.start();
  ASSERT_TRUE(sink.wait([](std::size_t, std::size_t quarantined) { return quarantined == 1; }));
  link.stop();
  EXPECT_EQ(sink.taken_.size(), 1u);
  EXPECT_EQ(sink.quarantined_[0], "its bits came before under another ID");
}

TEST(LinkSupervisor, RejectsBlocksOfImpossibleSizes) {
  Sink sink;
  LinkSupervisor link(settings(),
                      std::make_unique<Scripted>([](int, DriverHost& host, const std::stop_token& stopping) {
                        for (const std::size_t size : {std::size_t{0}, kMinBlockBytes - 1, kMaxBlockBytes + 1})
                          EXPECT_EQ(host.offer(block_of(1, size)).error().code, ErrorCode::kInvalid);
                        static_cast<void>(host.offer(block_of(2)));
                        wait_for_stop(stopping);
                        return Result<void>();
                      }),
                      sink);
  link.start();
  ASSERT_TRUE(sink.wait([](std::size_t taken, std::size_t) { return taken == 1; }));
  link.stop();
  EXPECT_EQ(link.status().rejected, 3u);
}

TEST(LinkSupervisor, SlowsDownADeviceThatFloods) {
  Sink sink;
  SupervisorSettings slow = settings();
  slow.max_rate_bps = 8192 * 4;  // four small blocks a second
  LinkSupervisor link(slow, std::make_unique<Scripted>([](int, DriverHost& host, const std::stop_token& stopping) {
                        for (std::uint32_t i = 0; !stopping.stop_requested(); ++i)
                          static_cast<void>(host.offer(block_of(i)));
                        return Result<void>();
                      }),
                      sink);
  link.start();
  ASSERT_TRUE(sink.wait([](std::size_t taken, std::size_t) { return taken >= 5; }));
  const LinkStatus status = link.status();
  link.stop();
  ASSERT_EQ(status.alarms.size(), 1u);
  EXPECT_EQ(status.alarms[0].first, LinkAlarm::kFlooding);
}

// What it holds must outlive the supervisor, and its blocks go nowhere.
TEST(LinkSupervisor, LeavesADriverBehindThatDoesNotStop) {
  const auto release = std::make_shared<std::atomic<bool>>(false);
  const auto outcome = std::make_shared<std::atomic<int>>(0);
  Sink sink;
  {
    LinkSupervisor link(settings(), std::make_unique<Scripted>([=](int, DriverHost& host, const std::stop_token&) {
                          static_cast<void>(host.offer(block_of(1)));
                          while (!release->load()) std::this_thread::yield();
                          *outcome = host.offer(block_of(2)).error().code == ErrorCode::kClosed ? 1 : 2;
                          return Result<void>();
                        }),
                        sink);
    link.start();
    ASSERT_TRUE(sink.wait([](std::size_t taken, std::size_t) { return taken == 1; }));
    link.stop();
    EXPECT_EQ(link.status().state, LinkState::kHung);
  }
  *release = true;
  while (outcome->load() == 0) std::this_thread::yield();
  EXPECT_EQ(outcome->load(), 1);
  EXPECT_EQ(sink.taken_.size(), 1u);
}

TEST(LinkSupervisor, StopsADriverThatWaitsToBeStartedAgain) {
  Sink sink;
  SupervisorSettings patient = settings();
  patient.first_pause_ms = 3'600'000;
  LinkSupervisor link(patient, std::make_unique<Scripted>([](int, DriverHost&, const std::stop_token&) {
                        return Result<void>(fail(ErrorCode::kIo, "gone"));
                      }),
                      sink);
  link.start();
  while (link.status().state != LinkState::kWaiting) std::this_thread::yield();
  link.stop();
  EXPECT_EQ(link.status().state, LinkState::kStopped);
}

}  // namespace
}  // namespace qkms::drivers
