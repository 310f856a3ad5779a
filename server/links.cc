#include "server/links.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "drivers/etsi004/etsi004.h"
#include "drivers/etsi014/etsi014.h"
#include "drivers/files.h"
#include "drivers/simulated.h"

namespace qkms::server {
namespace {

std::unique_ptr<drivers::Driver> make_driver(const LinkConfig& link) {
  if (link.driver == "etsi004") return drivers::make_etsi004_driver(link.id, link.etsi004);
  if (link.driver == "files") return drivers::make_files_driver(link.id, link.files);
  if (link.driver == "etsi014") return drivers::make_etsi014_driver(link.etsi014);
  return drivers::make_simulated_driver(link.id, link.simulated);
}

}  // namespace

void Links::start(const LinkConfig& link) {
  drivers::SupervisorSettings settings;
  settings.link = link.id;
  settings.max_rate_bps = link.max_rate_bps;
  settings.silence_ms = link.silence_alarm_ms;
  auto driver = make_driver(link);
  if (driver->simulated()) {
    spdlog::warn("LINK {} IS SIMULATED: ITS KEYS ARE NOT SECRET. For demonstrations and tests only", link.id.str());
  }
  BlockSink& sink = *this;
  auto supervisor = std::make_shared<drivers::LinkSupervisor>(std::move(settings), std::move(driver), sink);
  const std::lock_guard lock(mutex_);
  supervisor->fill(link.when_full == WhenFull::kWait && full_.contains(link.id));
  supervisor->start();
  running_.insert_or_assign(link.id, Running{link, std::move(supervisor)});
}

void Links::update(const std::vector<LinkConfig>& links) {
  const std::lock_guard changing(changing_);
  {
    const std::lock_guard lock(mutex_);
    wanted_ = links;
    if (paused_) return;
  }
  apply(links);
}

void Links::pause() {
  const std::lock_guard changing(changing_);
  {
    const std::lock_guard lock(mutex_);
    paused_ = true;
  }
  apply({});
}

void Links::resume() {
  const std::lock_guard changing(changing_);
  std::vector<LinkConfig> wanted;
  {
    const std::lock_guard lock(mutex_);
    paused_ = false;
    wanted = wanted_;
  }
  apply(wanted);
}

// A driver is stopped without the lock: it may be about to offer a block.
void Links::apply(const std::vector<LinkConfig>& links) {
  std::vector<std::shared_ptr<drivers::LinkSupervisor>> ending;
  std::vector<LinkConfig> beginning;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(running_, [&](const auto& entry) {
      if (std::ranges::find(links, entry.second.config) != links.end()) return false;
      ending.push_back(entry.second.supervisor);
      return true;
    });
    std::ranges::copy_if(links, std::back_inserter(beginning),
                         [&](const LinkConfig& link) { return !running_.contains(link.id); });
  }
  for (const auto& supervisor : ending) supervisor->stop();
  for (const LinkConfig& link : beginning) start(link);
}

void Links::stop() {
  update({});
  std::jthread last;
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  last.swap(tester_);  // joined after the lock
}

std::vector<drivers::LinkStatus> Links::status() const {
  const std::lock_guard lock(mutex_);
  std::vector<drivers::LinkStatus> all;
  for (const auto& [link, running] : running_) all.push_back(running.supervisor->status());
  if (!paused_) return all;
  for (const LinkConfig& link : wanted_) {
    drivers::LinkStatus& status = all.emplace_back();
    status.link = link.id;
    status.driver = link.driver;
    status.simulated = link.driver == "simulated";
    status.held = "the KME is sealed";
  }
  return all;
}

std::shared_ptr<drivers::LinkSupervisor> Links::find(const LinkId& link) const {
  const std::lock_guard lock(mutex_);
  const auto found = running_.find(link);
  return found == running_.end() ? nullptr : found->second.supervisor;
}

void Links::test(const LinkId& link, Answer answer) {
  const auto supervisor = find(link);
  if (supervisor == nullptr) return answer(fail(ErrorCode::kNotFound, "no link has this name"));
  std::jthread last;
  const std::lock_guard lock(mutex_);
  if (stopped_ || testing_) return answer(fail(ErrorCode::kOverloaded, "another test is under way"));
  testing_ = true;
  last = std::exchange(tester_, std::jthread([this, supervisor, answer = std::move(answer)]() mutable {
                         Result<std::string> outcome = supervisor->probe();
                         {
                           const std::lock_guard done(mutex_);
                           testing_ = false;
                         }
                         answer(std::move(outcome));
                       }));
}

void Links::fill(const kms::LinkFull& link) {
  const std::lock_guard lock(mutex_);
  if (link.full) full_.insert(link.link);
  if (!link.full) full_.erase(link.link);
  const auto found = running_.find(link.link);
  if (found != running_.end() && found->second.config.when_full == WhenFull::kWait)
    found->second.supervisor->fill(link.full);
}

void Links::noticed(const kms::Notice& notice) {
  if (notice.kind != kms::NoticeKind::kBlockMismatch) return;
  const auto link = LinkId::parse(notice.subject);
  if (!link) return;
  if (const auto supervisor = find(*link)) supervisor->mismatched();
}

// A store that is closed takes nothing: the driver waits with its block, as for a queue that is full.
Result<void> Links::offer(const LinkId& link, drivers::Block& block) {
  if (engine_.state() != kms::Node::State::kOpen) return fail(ErrorCode::kOverloaded, "the store is closed");
  kms::Event event = kms::BlockArrived{link, block.id, std::move(block.bits)};
  const Result<void> taken = engine_.push(std::move(event));
  if (!taken) block.bits = std::move(std::get<kms::BlockArrived>(event).bits);
  return taken;
}

// Lost when the queue is full: a note may be.
void Links::tell_twin(const LinkId& link, std::string note) {
  static_cast<void>(engine_.push(kms::DriverNote{link, std::move(note)}));
}

void Links::hear(kms::DriverNote note) {
  if (const auto supervisor = find(note.link)) supervisor->hear(std::move(note.bytes));
}

void Links::quarantined(const LinkId& link, const BlockId& block, std::size_t bytes, const std::string& why) {
  spdlog::warn("link {}: block {} is not let in: {}", link.str(), to_string(block), why);
  static_cast<void>(engine_.push(kms::AuditEvent{{.action = api::AuditAction::kQuarantine,
                                                  .actor = link.str(),
                                                  .subject = to_string(block),
                                                  .bits = bytes * 8,
                                                  .reason = why}}));
}

}  // namespace qkms::server
