// The one thread that runs the engine: it takes what the I/O threads and drivers queued, steps the node with all of it
// at once, and gives out what came of it. One commit serves the whole batch.
//
// Operation: start() once, stop() once. Between the two, requests and events come in from any thread.
// Concurrency: completions and the outlet's calls run on the engine's thread and must not block; they hand over to
// threads of their own. Limits: at most `queue_limit` SAE requests wait, and as many events of other kinds again; above
// that nothing is taken and the caller hears kOverloaded at once. PeerUp and PeerDown always get in: there are no more
// of them than sessions. Blocks are not even queued while the node is sealed (kSealed): nobody would keep them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "kms/event.h"
#include "kms/node.h"
#include "server/engine_clock.h"

namespace qkms::server {

// Where the engine's effects go, replies excepted. Must outlive the EngineThread.
class EngineOutlet {
 public:
  virtual ~EngineOutlet() = default;
  virtual void send(kms::SendEffect effect) = 0;
  virtual void close(kms::CloseEffect effect) = 0;
  virtual void close_all_sessions() = 0;
  virtual void notice(const kms::Notice& notice) = 0;
  virtual void note(kms::DriverNote note) = 0;
  virtual void link_full(const kms::LinkFull& link) = 0;
  // The node has changed its state. After kDead nothing follows: the process has to end.
  virtual void state_changed(kms::Node::State state) = 0;
};

class EngineThread {
 public:
  // Called exactly once for each request that was taken.
  using SaeCompletion = std::move_only_function<void(kms::SaeReply)>;
  using ReportCompletion = std::move_only_function<void(Result<kms::Report>)>;

  EngineThread(std::unique_ptr<kms::Node> node, EngineOutlet& outlet, std::size_t queue_limit);
  ~EngineThread();

  void start();
  // Answers what is still queued or in flight with kClosed, and returns when the thread has ended.
  void stop();

  Result<void> request(kms::SaeRequest request, SaeCompletion completion);
  Result<void> report(ReportCompletion completion);
  // An event that is not taken stays with the caller.
  Result<void> push(kms::Event&& event);
  // Runs it on the engine's thread, between two batches: for looking at the store, which has no other thread. kClosed
  // when the thread is to end or has ended; then it does not run.
  Result<void> between_batches(std::move_only_function<void()> work);
  // For such work. Whoever waits has been answered, and nothing is left of what was queued, when this returns: the
  // store may be closed.
  void seal(api::AuditRecord record);
  // For such work, once the store is open again.
  Result<void> unseal(api::AuditRecord record);
  // Returns when it is in force, or when the thread has ended. From one thread at a time, not the engine's.
  void replace_policy(std::shared_ptr<const kms::Policy> policy);

  std::size_t queue_depth() const;
  kms::Node::State state() const { return state_; }

 private:
  using Completion = std::variant<std::monostate, SaeCompletion, ReportCompletion>;
  struct Item {
    kms::Event event;
    Completion completion;
  };

  Result<void> enqueue(Item&& item, std::size_t limit);
  void run();
  void wait_for_work();
  std::vector<Item> take_items(std::size_t most);
  std::vector<kms::Event> register_batch(std::vector<Item> items, Millis now);
  void release(kms::Node::Outcome outcome);
  void release_effects(kms::Effects effects);
  void apply_policy();
  void work_between();
  void note_state();
  void refuse_everything();

  const std::size_t queue_limit_;
  EngineOutlet& outlet_;
  std::unique_ptr<kms::Node> node_;
  EngineClock clock_;
  std::atomic<kms::Node::State> state_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Item> queue_;
  bool stopping_ = false;
  bool ended_ = false;
  std::vector<std::move_only_function<void()>> between_;
  std::shared_ptr<const kms::Policy> next_policy_;
  std::condition_variable policy_applied_;

  // The engine's thread only.
  kms::RequestToken last_token_ = 0;
  std::unordered_map<kms::RequestToken, SaeCompletion> waiting_requests_;
  std::unordered_map<kms::RequestToken, ReportCompletion> waiting_reports_;
  Millis last_tick_ = 0;

  std::thread thread_;
};

}  // namespace qkms::server
