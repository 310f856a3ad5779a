// T29, T30: a device may lose answers, hang, lie and go at every step; the two ends go on, and never have different
// bits under one ID.
#include "drivers/etsi014/etsi014.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "drivers/etsi014/testing/scripted_device.h"
#include "drivers/supervisor.h"

namespace qkms::drivers {
namespace {

using testing::HasSubstr;
using Phase = ScriptedDevice::Phase;

const LinkId kLink = LinkId::parse("A-B").value();
constexpr auto kPatience = std::chrono::seconds(60);

// The house behind a driver: keeps blocks, while there is room, and carries notes to the other end.
class House final : public BlockSink {
 public:
  Result<void> offer(const LinkId&, Block& block) override {
    const std::lock_guard lock(mutex_);
    if (blocks_.size() >= room) return fail(ErrorCode::kOverloaded, "full");
    const std::string bits(block.bits.reveal().begin(), block.bits.reveal().end());
    if (!blocks_.emplace(block.id, bits).second) ++repeated_;
    return {};
  }
  void tell_twin(const LinkId&, std::string note) override {
    if (twin) twin(std::move(note));
  }
  void quarantined(const LinkId&, const BlockId&, std::size_t, const std::string& why) override {
    ADD_FAILURE() << "quarantined: " << why;
  }

  std::map<BlockId, std::string> blocks() const {
    const std::lock_guard lock(mutex_);
    return blocks_;
  }
  int repeated() const {
    const std::lock_guard lock(mutex_);
    return repeated_;
  }
  std::function<void(std::string)> twin;
  std::atomic<std::size_t> room = 10;

 private:
  mutable std::mutex mutex_;
  std::map<BlockId, std::string> blocks_;
  int repeated_ = 0;
};

// One end of the link: a driver under its supervisor, which can be restarted.
class Site {
 public:
  Site(House& house, Etsi014Settings settings, Etsi014End end) : house_(house), settings_(std::move(settings)) {
    settings_.end = end;
  }
  ~Site() { stop(); }
  void start() {
    SupervisorSettings settings;
    settings.link = kLink;
    settings.silence_ms = 0;
    settings.first_pause_ms = 10;
    settings.longest_pause_ms = 10;
    auto made = std::make_shared<LinkSupervisor>(settings, make_etsi014_driver(settings_), house_);
    made->start();
    exchange(std::move(made));
  }
  void stop() {
    if (const auto old = exchange(nullptr)) old->stop();
  }
  void restart() {
    stop();
    start();
  }
  void hear(std::string note) {
    if (const auto now = supervisor()) now->hear(std::move(note));
  }
  LinkStatus status() const { return supervisor()->status(); }

 private:
  using Supervisor = std::shared_ptr<LinkSupervisor>;
  Supervisor supervisor() const {
    const std::lock_guard lock(mutex_);
    return supervisor_;
  }
  Supervisor exchange(Supervisor next) {
    const std::lock_guard lock(mutex_);
    return std::exchange(supervisor_, std::move(next));
  }

  House& house_;
  Etsi014Settings settings_;
  mutable std::mutex mutex_;
  Supervisor supervisor_;
};

std::string problems_of(const LinkStatus& status) {
  std::string out = status.error;
  for (const Incident& incident : status.incidents) out += "\n" + incident.text;
  return out;
}

class Etsi014Test : public testing::Test {
 protected:
  Etsi014Settings settings(const ScriptedDevice& device, const char* twin) const {
    Etsi014Settings settings;
    settings.tls = pki_.settings(device.port());
    settings.path_prefix = "/unit/1";
    settings.twin = SaeId::parse(twin).value();
    settings.key_size_bits = 256;
    settings.block_bytes = 256;
    settings.poll_ms = 20;
    settings.answer_ms = 20'000;
    settings.fetch_ms = 20'000;
    return settings;
  }
  void make_sites(const Etsi014Settings& a, const Etsi014Settings& b) {
    a_ = std::make_unique<Site>(house_a_, a, Etsi014End::kLeads);
    b_ = std::make_unique<Site>(house_b_, b, Etsi014End::kFollows);
    house_a_.twin = [this](std::string note) { b_->hear(std::move(note)); };
    house_b_.twin = [this](std::string note) { a_->hear(std::move(note)); };
  }
  void start_sites() {
    b_->start();
    a_->start();
  }
  void start(const Etsi014Settings& a, const Etsi014Settings& b) {
    make_sites(a, b);
    start_sites();
  }
  void stop() {
    if (a_) a_->stop();
    if (b_) b_->stop();
  }
  void TearDown() override { stop(); }
  // Takes ever more blocks while it waits.
  template <class Condition>
  bool wait_for(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));  // between two looks
      ++house_a_.room;
      ++house_b_.room;
    }
    return true;
  }
  std::size_t common() const {
    const auto at_a = house_a_.blocks(), at_b = house_b_.blocks();
    return static_cast<std::size_t>(
        std::ranges::count_if(at_a, [&](const auto& one) { return at_b.contains(one.first); }));
  }
  // What must hold whatever the devices did.
  void expect_agreement() const {
    const auto at_a = house_a_.blocks(), at_b = house_b_.blocks();
    for (const auto& [id, bits] : at_a) {
      const auto other = at_b.find(id);
      if (other != at_b.end()) {
        EXPECT_EQ(bits == other->second, true) << "block " << to_string(id) << " differs";
      }
    }
    for (const auto* blocks : {&at_a, &at_b}) {
      std::set<std::string> pieces;
      for (const auto& [id, bits] : *blocks) {
        for (std::size_t at = 0; at + 32 <= bits.size(); at += 32)
          EXPECT_TRUE(pieces.insert(bits.substr(at, 32)).second) << "bits used twice, in block " << to_string(id);
      }
    }
    EXPECT_EQ(house_a_.repeated() + house_b_.repeated(), 0);
  }
  std::uint64_t rejected() { return a_->status().rejected + b_->status().rejected; }

  DevicePki pki_;
  DevicePool pool_;
  House house_a_, house_b_;
  std::unique_ptr<Site> a_, b_;
};

ScriptedDevice::Hooks on(std::string operation, int nth, Fault fault) {
  ScriptedDevice::Hooks hooks;
  hooks.fault = [=](const std::string& here, int count) {
    return here == operation && count == nth ? fault : Fault::kNone;
  };
  return hooks;
}

TEST_F(Etsi014Test, GivesBothEndsTheSameBlocks) {
  ScriptedDevice device_a(pki_, pool_, {}, {}), device_b(pki_, pool_, {}, {});
  start(settings(device_a, "urn:kme/b"), settings(device_b, "urn:kme/a"));
  EXPECT_TRUE(wait_for([this] { return common() >= 5; }));
  stop();
  expect_agreement();
  for (const auto& [id, bits] : house_a_.blocks()) EXPECT_EQ(bits.size(), 256u);
  EXPECT_THAT(device_a.last_path(), HasSubstr("/unit/1/api/v1/keys/urn%3Akme%2Fb/"));
  EXPECT_EQ(device_b.last_path(), "/unit/1/api/v1/keys/urn%3Akme%2Fa/dec_keys");
  EXPECT_EQ(device_a.connections(), 1u);
}

TEST_F(Etsi014Test, HonoursALimitOfOneKeyARequestAndAsksForTheLargest) {
  const DeviceLimits limits{
      .key_size_bits = 128, .min_key_size_bits = 128, .max_key_size_bits = 512, .max_key_per_request = 1, .stored = 64};
  ScriptedDevice device_a(pki_, pool_, limits, {}), device_b(pki_, pool_, limits, {});
  auto a = settings(device_a, "B"), b = settings(device_b, "A");
  a.key_size_bits = 0;
  start(a, b);
  EXPECT_TRUE(wait_for([this] { return common() >= 3; }));
  stop();
  expect_agreement();
  for (const auto& [id, bits] : house_a_.blocks()) EXPECT_EQ(bits.size() % 64, 0u);
  EXPECT_EQ(device_a.last_body("enc_keys"), R"({"number":1,"size":512})");
}

TEST_F(Etsi014Test, ClosesABlockThatDoesNotFillUp) {
  std::atomic<int> given = 0;
  ScriptedDevice::Hooks hooks;
  hooks.fault = [&](const std::string& operation, int) {
    return operation == "enc_keys" && ++given > 3 ? Fault::kBusy503 : Fault::kNone;  // three keys, and no more
  };
  ScriptedDevice device_a(pki_, pool_, {.max_key_per_request = 1}, hooks), device_b(pki_, pool_, {}, {});
  start(settings(device_a, "B"), settings(device_b, "A"));
  EXPECT_TRUE(wait_for([this] { return common() >= 1; }));
  stop();
  expect_agreement();
  EXPECT_LE(house_b_.blocks().begin()->second.size(), 96u);
}

struct FaultCase {
  const char* operation;
  Fault fault;
  const char* name;
  bool costs;  // keys are given up
};

class Etsi014Faults : public Etsi014Test, public testing::WithParamInterface<FaultCase> {};

TEST_P(Etsi014Faults, GoOnAndAgree) {
  const FaultCase& c = GetParam();
  ScriptedDevice device_a(pki_, pool_, {}, on(c.operation, 2, c.fault));
  ScriptedDevice device_b(pki_, pool_, {}, on(c.operation, 2, c.fault));
  auto a = settings(device_a, "B"), b = settings(device_b, "A");
  a.block_bytes = 128;
  if (c.fault == Fault::kHangs) a.answer_ms = b.answer_ms = 300;
  start(a, b);
  const bool at_b = std::string_view(c.operation) == "dec_keys";
  ASSERT_TRUE(wait_for([&] { return (at_b ? device_b : device_a).faults() > 0; }));
  const std::size_t before = common();
  EXPECT_TRUE(wait_for([&] { return common() >= before + 3; }));
  EXPECT_EQ(rejected() > 0, c.costs) << problems_of(a_->status()) << " / " << problems_of(b_->status());
  stop();
  expect_agreement();
}

std::vector<FaultCase> fault_cases() {
  std::vector<FaultCase> cases;
  const auto add = [&](const char* operation, Fault fault, const char* name, bool costs) {
    cases.push_back({operation, fault, name, costs});
  };
  for (const char* operation : {"enc_keys", "dec_keys"}) {
    const bool by_id = std::string_view(operation) == "dec_keys";
    add(operation, Fault::kRefuses400, "400", by_id);
    add(operation, Fault::kRefuses401WithBody, "401WithBody", by_id);
    add(operation, Fault::kRefuses403, "403", by_id);
    add(operation, Fault::kRefuses404, "404", by_id);
    add(operation, Fault::kRefuses410, "410", by_id);
    add(operation, Fault::kBusy503, "503", false);
    add(operation, Fault::kBusy429, "429", false);
    add(operation, Fault::kDiesBeforeTheAnswer, "DiesBeforeTheAnswer", true);
    add(operation, Fault::kDiesWithinTheAnswer, "DiesWithinTheAnswer", true);
    add(operation, Fault::kHangs, "Hangs", true);
    add(operation, Fault::kCutsTheBody, "CutsTheBody", true);
    add(operation, Fault::kSendsNoHttp, "SendsNoHttp", true);
    add(operation, Fault::kSays500, "Says500", true);
    add(operation, Fault::kSays204, "Says204", true);
    add(operation, Fault::kGivesWrongSize, "GivesWrongSize", true);
    add(operation, Fault::kGivesFewer, "GivesFewer", true);
    add(operation, Fault::kGivesMore, "GivesMore", true);
    add(operation, Fault::kGivesOneIdTwice, "GivesOneIdTwice", true);
    add(operation, Fault::kGivesOldIds, "GivesOldIds", true);
    add(operation, Fault::kGivesBadBase64, "GivesBadBase64", true);
    add(operation, Fault::kShuffles, "Shuffles", false);
    add(operation, Fault::kWritesIdsInUpperCase, "WritesIdsInUpperCase", false);
    add(operation, Fault::kClosesAfterTheAnswer, "ClosesAfterTheAnswer", false);
    add(operation, Fault::kSendsChunks, "SendsChunks", false);
  }
  add("enc_keys", Fault::kGivesOtherIds, "GivesOtherIds", true);  // the other device does not have it
  add("dec_keys", Fault::kGivesOtherIds, "GivesOtherIds", true);
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Device, Etsi014Faults, testing::ValuesIn(fault_cases()),
                         [](const auto& test) { return fmt::format("{}_{}", test.param.operation, test.param.name); });

// A status consumes nothing: whatever is wrong with one costs no key.
class Etsi014StatusFaults : public Etsi014Test, public testing::WithParamInterface<Fault> {};

TEST_P(Etsi014StatusFaults, CostNothing) {
  ScriptedDevice device_a(pki_, pool_, {.stored = 4}, on("status", 2, GetParam()));  // so that it is asked often
  ScriptedDevice device_b(pki_, pool_, {}, on("status", 1, GetParam()));
  auto a = settings(device_a, "B"), b = settings(device_b, "A");
  start(a, b);
  EXPECT_TRUE(wait_for([&] { return device_a.faults() > 0 && device_b.faults() > 0 && common() >= 3; }));
  EXPECT_EQ(rejected(), 0u) << problems_of(a_->status()) << " / " << problems_of(b_->status());
  stop();
  expect_agreement();
}

INSTANTIATE_TEST_SUITE_P(Device, Etsi014StatusFaults,
                         testing::Values(Fault::kRefuses401WithBody, Fault::kBusy503, Fault::kDiesBeforeTheAnswer,
                                         Fault::kDiesWithinTheAnswer, Fault::kCutsTheBody, Fault::kSendsNoHttp,
                                         Fault::kSays500, Fault::kClosesAfterTheAnswer));

// Either end restarted at every step of the other, and of itself.
struct RestartCase {
  const char* operation;
  Phase phase;
  bool leader;
};

class Etsi014Restarts : public Etsi014Test, public testing::WithParamInterface<RestartCase> {};

TEST_P(Etsi014Restarts, GoOnAndAgree) {
  const RestartCase& c = GetParam();
  std::atomic<bool> is_reached = false, is_done = false;
  ScriptedDevice::Hooks hooks;
  hooks.reached = [&](const std::string& operation, int nth, Phase phase) {
    if (operation != c.operation || nth != 2 || phase != c.phase || is_reached.exchange(true)) return;
    is_done.wait(false);
  };
  ScriptedDevice device_a(pki_, pool_, {.stored = 4}, hooks), device_b(pki_, pool_, {}, hooks);
  auto a = settings(device_a, "B"), b = settings(device_b, "A");
  a.block_bytes = 128;
  start(a, b);
  const bool asks_status = std::string_view(c.operation) == "status";
  if (asks_status && !c.leader) b_->restart();  // the following end asks for a status once a run
  EXPECT_TRUE(wait_for([&] { return is_reached.load(); }));
  (c.leader ? a_ : b_)->restart();
  is_done = true;
  is_done.notify_all();
  const std::size_t before = common();
  EXPECT_TRUE(wait_for([&] { return common() >= before + 3; }));
  stop();
  expect_agreement();
}

std::vector<RestartCase> restart_cases() {
  std::vector<RestartCase> cases;
  for (const char* operation : {"status", "enc_keys", "dec_keys"}) {
    for (const Phase phase : {Phase::kBefore, Phase::kDone, Phase::kAnswered}) {
      cases.push_back({operation, phase, true});
      cases.push_back({operation, phase, false});
    }
  }
  return cases;
}

std::string name_of_restart(const testing::TestParamInfo<RestartCase>& test) {
  constexpr const char* kPhases[] = {"Before", "Done", "Answered"};
  return fmt::format("{}_{}_{}", test.param.operation, kPhases[static_cast<int>(test.param.phase)],
                     test.param.leader ? "leader" : "follower");
}

INSTANTIATE_TEST_SUITE_P(AtEveryStep, Etsi014Restarts, testing::ValuesIn(restart_cases()), name_of_restart);

// Notes are lost when there is no session between the KMEs.
TEST_F(Etsi014Test, LivesWithLostRepeatedAndSenselessNotes) {
  ScriptedDevice device_a(pki_, pool_, {}, {}), device_b(pki_, pool_, {}, {});
  make_sites(settings(device_a, "B"), settings(device_b, "A"));
  std::atomic<int> told = 0;
  house_a_.twin = [this, &told](const std::string& note) {
    const int nth = ++told;
    if (nth % 4 == 1) return;
    b_->hear(note);
    if (nth % 4 == 2) b_->hear(note);
    if (nth % 4 == 3) b_->hear(note.substr(1));
    a_->hear(note);
  };
  start_sites();
  EXPECT_TRUE(wait_for([this] { return common() >= 6; }));
  EXPECT_GT(b_->status().rejected, 0u);
  EXPECT_GT(a_->status().rejected, 0u);
  stop();
  expect_agreement();
}

// A twin that is away must not cost all that the device has.
TEST_F(Etsi014Test, KeepsOnlyALittleAheadOfItsTwin) {
  ScriptedDevice device_a(pki_, pool_, {}, {}), device_b(pki_, pool_, {}, {});
  auto a = settings(device_a, "B");
  a.fetch_ms = 3'600'000;
  make_sites(a, settings(device_b, "A"));
  a_->start();
  EXPECT_TRUE(wait_for([this] { return house_a_.blocks().size() == 16; }));
  const int asked = device_a.count("status");
  EXPECT_TRUE(wait_for([&] { return device_a.count("status") > asked + 3; }));
  EXPECT_EQ(house_a_.blocks().size(), 16u);
  b_->start();  // and says that it knows nothing of what came before
  EXPECT_TRUE(wait_for([this] { return common() >= 20; }));
  stop();
  expect_agreement();
}

TEST_F(Etsi014Test, TakesNothingFromADeviceWithAWrongCertificate) {
  pki_.issue("wrong", {"DNS:somebody.else"});
  ScriptedDevice device(pki_, pool_, {}, {}, "wrong");
  const auto driver = make_etsi014_driver(settings(device, "B"));
  a_ = std::make_unique<Site>(house_a_, settings(device, "B"), Etsi014End::kLeads);
  a_->start();
  EXPECT_TRUE(wait_for([this] { return problems_of(a_->status()).contains("certificate is refused"); }));
  const auto probed = driver->probe();
  ASSERT_FALSE(probed);
  EXPECT_EQ(name_of(probed.error().code), name_of(ErrorCode::kUnauthorised));
  a_->stop();
  EXPECT_TRUE(house_a_.blocks().empty());
}

TEST_F(Etsi014Test, ProbesWithoutConsuming) {
  ScriptedDevice device(pki_, pool_, {}, {});
  const auto said = make_etsi014_driver(settings(device, "B"))->probe();
  ASSERT_TRUE(said) << said.error().text;
  EXPECT_EQ(*said, "the device offers keys of 64 to 4096 bits, 128 at a time; 64 of 256 bits wait");
  EXPECT_THAT(device.last_path(), HasSubstr("/status"));
}

TEST_F(Etsi014Test, SaysWhichSizesTheDeviceHasWhenOursIsNone) {
  ScriptedDevice device(pki_, pool_, {.max_key_size_bits = 256}, {});
  auto with = settings(device, "B");
  with.key_size_bits = 512;
  a_ = std::make_unique<Site>(house_a_, with, Etsi014End::kLeads);
  a_->start();
  EXPECT_TRUE(wait_for([this] { return problems_of(a_->status()).contains("the device offers 64 to 256"); }));
}

// --- paired mode

class PairedTest : public Etsi014Test {
 protected:
  ScriptedDevice::Hooks paired(std::atomic<std::size_t>& keys) {
    ScriptedDevice::Hooks hooks;
    hooks.paired = true;
    hooks.paired_keys = [&keys] { return keys.load(); };
    return hooks;
  }
  Etsi014Settings paired_settings(const ScriptedDevice& device, const char* twin, std::uint32_t bits) {
    auto out = settings(device, twin);
    out.mode = Etsi014Mode::kPaired;
    out.key_size_bits = bits;
    return out;
  }
  std::atomic<std::size_t> at_a_ = 0, at_b_ = 0;
};

// A satellite passes over one station, and hours later over the other.
TEST_F(PairedTest, ALargeKeyIsABlockUnderItsOwnIdWheneverItComes) {
  const DeviceLimits limits{.key_size_bits = 4096};
  ScriptedDevice device_a(pki_, pool_, limits, paired(at_a_)), device_b(pki_, pool_, limits, paired(at_b_));
  start(paired_settings(device_a, "B", 0), paired_settings(device_b, "A", 0));
  at_a_ = 5;
  EXPECT_TRUE(wait_for([this] { return house_a_.blocks().size() == 5; }));
  EXPECT_TRUE(house_b_.blocks().empty());
  at_b_ = 7;
  EXPECT_TRUE(wait_for([this] { return house_b_.blocks().size() == 7; }));
  stop();
  expect_agreement();
  EXPECT_EQ(common(), 5u);
  EXPECT_EQ(house_a_.blocks().begin()->second.size(), 512u);
  EXPECT_EQ(to_string(house_a_.blocks().begin()->first), pool_.paired(0, 512).first);
}

TEST_F(PairedTest, SmallKeysAreGroupedByTheLeaderWhoeverIsFirst) {
  ScriptedDevice device_a(pki_, pool_, {}, paired(at_a_)), device_b(pki_, pool_, {}, paired(at_b_));
  start(paired_settings(device_a, "B", 256), paired_settings(device_b, "A", 256));
  at_a_ = 16;
  EXPECT_TRUE(wait_for([this] { return house_a_.blocks().size() == 2; }));
  at_b_ = 32;
  EXPECT_TRUE(wait_for([this] { return common() == 2; }));
  at_a_ = 32;
  EXPECT_TRUE(wait_for([this] { return common() == 4; }));
  stop();
  expect_agreement();
  EXPECT_EQ(house_b_.blocks().begin()->second.size(), 256u);
}

}  // namespace
}  // namespace qkms::drivers
