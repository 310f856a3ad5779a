#include "server/engine_thread.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "base/failpoint.h"
#include "base/secret.h"

namespace qkms::server {
namespace {

constexpr Millis kTickMs = 50;
// Events of one batch: enough that one disk sync serves many requests, and few enough that the first of them does not
// wait long.
constexpr std::size_t kMaxBatch = 1024;

const Error kStopped{ErrorCode::kClosed, "the daemon is stopping"};
const Error kRestarted{ErrorCode::kClosed, "the engine started afresh after a failed commit"};
const Error kSealedError{ErrorCode::kSealed, "the KME is sealed"};

bool has_frame(const std::vector<kms::Event>& events) {
  return std::ranges::any_of(events, [](const auto& event) { return std::holds_alternative<kms::PeerFrame>(event); });
}

bool is_session_change(const kms::Event& event) {
  return std::holds_alternative<kms::PeerUp>(event) || std::holds_alternative<kms::PeerDown>(event);
}

}  // namespace

EngineThread::EngineThread(std::unique_ptr<kms::Node> node, EngineOutlet& outlet, std::size_t queue_limit)
    : queue_limit_(queue_limit),
      outlet_(outlet),
      node_(std::move(node)),
      clock_(node_->stored_time()),
      state_(node_->state()) {}

EngineThread::~EngineThread() { stop(); }

void EngineThread::start() {
  thread_ = std::thread([this] { run(); });
}

void EngineThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Result<void> EngineThread::enqueue(Item&& item, std::size_t limit) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return std::unexpected(kStopped);
    if (state_ == kms::Node::State::kSealed && std::holds_alternative<kms::BlockArrived>(item.event))
      return std::unexpected(kSealedError);
    if (queue_.size() >= limit) return fail(ErrorCode::kOverloaded, "the engine's queue is full");
    queue_.push_back(std::move(item));
    if (queue_.size() > 1) return {};  // whoever queued the first one has woken the thread
  }
  wake_.notify_one();
  return {};
}

Result<void> EngineThread::request(kms::SaeRequest request, SaeCompletion completion) {
  return enqueue({kms::SaeEvent{0, std::move(request)}, std::move(completion)}, queue_limit_);
}

Result<void> EngineThread::report(ReportCompletion completion) {
  return enqueue({kms::ReportRequest{}, std::move(completion)}, 2 * queue_limit_);
}

Result<void> EngineThread::push(kms::Event&& event) {
  const std::size_t limit = is_session_change(event) ? SIZE_MAX : 2 * queue_limit_;
  Item item{std::move(event), {}};
  const Result<void> taken = enqueue(std::move(item), limit);
  if (!taken) event = std::move(item.event);
  return taken;
}

void EngineThread::replace_policy(std::shared_ptr<const kms::Policy> policy) {
  std::unique_lock lock(mutex_);
  next_policy_ = std::move(policy);
  wake_.notify_one();
  policy_applied_.wait(lock, [this] { return next_policy_ == nullptr || ended_; });
}

void EngineThread::apply_policy() {
  std::unique_lock lock(mutex_);
  if (next_policy_ == nullptr) return;
  const auto policy = next_policy_;
  lock.unlock();
  release(node_->replace_policy(policy, clock_.now()));
  lock.lock();
  next_policy_.reset();
  policy_applied_.notify_all();
}

Result<void> EngineThread::between_batches(std::move_only_function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return std::unexpected(kStopped);
  between_.push_back(std::move(work));
  wake_.notify_one();
  return {};
}

void EngineThread::work_between() {
  std::vector<std::move_only_function<void()>> work;
  {
    const std::lock_guard lock(mutex_);
    work.swap(between_);
  }
  for (auto& one : work) one();
}

std::size_t EngineThread::queue_depth() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

// Until a tick is due at most.
void EngineThread::wait_for_work() {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, std::chrono::milliseconds(kTickMs),
                 [this] { return stopping_ || !queue_.empty() || !between_.empty() || next_policy_ != nullptr; });
}

std::vector<EngineThread::Item> EngineThread::take_items(std::size_t most) {
  const std::lock_guard lock(mutex_);
  if (queue_.size() <= most) return std::exchange(queue_, {});
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(most);
  std::vector<Item> items(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
  queue_.erase(queue_.begin(), end);
  return items;
}

std::vector<kms::Event> EngineThread::register_batch(std::vector<Item> items, Millis now) {
  std::vector<kms::Event> events;
  events.reserve(items.size() + 1);
  for (Item& item : items) {
    if (auto* sae = std::get_if<kms::SaeEvent>(&item.event)) {
      sae->token = ++last_token_;
      waiting_requests_.emplace(sae->token, std::get<SaeCompletion>(std::move(item.completion)));
    } else if (auto* report = std::get_if<kms::ReportRequest>(&item.event)) {
      report->token = ++last_token_;
      waiting_reports_.emplace(report->token, std::get<ReportCompletion>(std::move(item.completion)));
    }
    events.push_back(std::move(item.event));
  }
  if (now - last_tick_ >= kTickMs) {
    events.push_back(kms::Tick{});
    last_tick_ = now;
  }
  return events;
}

void EngineThread::run() {
  for (;;) {
    wait_for_work();
    apply_policy();
    work_between();
    const Millis now = clock_.now();
    std::vector<kms::Event> events = register_batch(take_items(kMaxBatch), now);
    if (is_armed(Failpoint::kPeerReceived) && has_frame(events)) at_failpoint(Failpoint::kPeerReceived);
    if (!events.empty()) release(node_->step(std::move(events), now));
    note_state();
    wipe_traces();
    const std::lock_guard lock(mutex_);
    if (state_ == kms::Node::State::kDead) stopping_ = true;
    if (stopping_) break;
  }
  refuse_everything();
  work_between();  // what was promised before the end
  const std::lock_guard lock(mutex_);
  ended_ = true;
  policy_applied_.notify_all();
}

// What was queued goes after the state is known: from then on enqueue() takes no block, so none is left behind it.
void EngineThread::seal(api::AuditRecord record) {
  release(node_->seal(std::move(record), clock_.now()));
  note_state();
  const Millis now = clock_.now();
  release(node_->step(register_batch(take_items(SIZE_MAX), now), now));
}

Result<void> EngineThread::unseal(api::AuditRecord record) {
  auto unsealed = node_->unseal(std::move(record), clock_.now());
  if (unsealed) clock_.go_on_from(node_->stored_time());
  note_state();
  return unsealed;
}

void EngineThread::note_state() {
  const kms::Node::State now = node_->state();
  if (state_.exchange(now) != now) outlet_.state_changed(now);
}

void EngineThread::release(kms::Node::Outcome outcome) {
  release_effects(std::move(outcome.effects));
  if (!outcome.sessions_lost) return;
  outlet_.close_all_sessions();
  // The engine that knew of these requests is gone.
  const Error& why = node_->state() == kms::Node::State::kSealed ? kSealedError : kRestarted;
  for (auto& [token, completion] : std::exchange(waiting_requests_, {})) completion(why);
  for (auto& [token, completion] : std::exchange(waiting_reports_, {})) completion(std::unexpected(why));
}

void EngineThread::release_effects(kms::Effects effects) {
  for (kms::ReplyEffect& reply : effects.replies) {
    auto waiting = waiting_requests_.extract(reply.token);
    if (waiting) waiting.mapped()(std::move(reply.reply));
  }
  if (!effects.sends.empty()) at_failpoint(Failpoint::kPeerBeforeSend);
  for (kms::SendEffect& send : effects.sends) outlet_.send(std::move(send));
  if (!effects.sends.empty()) at_failpoint(Failpoint::kPeerAfterSend);
  for (kms::CloseEffect& close : effects.closes) outlet_.close(std::move(close));
  for (const kms::Notice& notice : effects.notices) outlet_.notice(notice);
  for (const kms::LinkFull& link : effects.links_full) outlet_.link_full(link);
  for (kms::DriverNote& note : effects.notes) outlet_.note(std::move(note));
  for (kms::ReportEffect& report : effects.reports) {
    auto waiting = waiting_reports_.extract(report.token);
    if (waiting) waiting.mapped()(std::move(report.report));
  }
}

// What tells the audit log of a stop, or of a command just before it, is still taken.
void EngineThread::refuse_everything() {
  std::vector<Item> items = take_items(SIZE_MAX);
  std::vector<kms::Event> records;
  for (Item& item : items) {
    if (std::holds_alternative<kms::AuditEvent>(item.event)) records.push_back(std::move(item.event));
  }
  if (!records.empty() && node_->state() == kms::Node::State::kOpen)
    release(node_->step(std::move(records), clock_.now()));
  std::erase_if(items, [](const Item& item) { return std::holds_alternative<kms::AuditEvent>(item.event); });
  register_batch(std::move(items), last_tick_);
  for (auto& [token, completion] : std::exchange(waiting_requests_, {})) completion(kStopped);
  for (auto& [token, completion] : std::exchange(waiting_reports_, {})) completion(std::unexpected(kStopped));
}

}  // namespace qkms::server
