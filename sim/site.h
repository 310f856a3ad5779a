// One simulated site: a real kms::Node over a store in memory, which falls and comes back.
//
// Operation: events are put into an inbox, and a step a little later takes all of them, as qkmsd's engine thread does.
// A crash strikes before a step, inside its commit, or between the commit and the release of its effects.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "kms/node.h"
#include "sim/context.h"
#include "storage/memory_store.h"

namespace qkms::sim {

// Whether a refusal in these effects is certain: after a commit of unknown outcome it is not.
enum class Doubt { kNone, kAll };

class SiteListener {
 public:
  virtual ~SiteListener() = default;
  virtual void released(std::size_t site, kms::Effects effects, Doubt doubt) = 0;
  // All sessions of this site are gone, for whatever reason.
  virtual void sessions_lost(std::size_t site) = 0;
  virtual void crashed(std::size_t site) = 0;
  virtual void put_back(std::size_t site) = 0;
  // Whether a peer would tell this site if its store were put back to its copy now (docs/adr/0015: the promise).
  virtual bool would_hear_of_it(std::size_t site) const = 0;
};

class Site {
 public:
  // Both must outlive the site.
  Site(Context& context, std::size_t index, SiteListener& listener);

  void start();
  bool up() const { return node_ != nullptr; }
  // Up, and with an engine.
  bool running() const { return up() && node_->state() == kms::Node::State::kOpen; }
  bool sealed() const { return up() && node_->state() == kms::Node::State::kSealed; }
  // What an operator does; nothing when the site is down, or already so. Its store may be put back in between.
  void seal();
  void unseal();
  // Lost when the site is down or falls before it looks.
  void post(kms::Event event);
  // Another policy: now if the site is up, and from its next start on in any case.
  void replace_policy(std::shared_ptr<const kms::Policy> policy);
  bool knows(const KmeId& peer) const { return policy_->peers.contains(peer); }
  // The end of all faults: comes back now if it is down or sealed.
  void heal();
  // What survives a fall.
  const storage::MemoryStore& disk() const { return store_; }

 private:
  class SeededRandom final : public kms::Random {
   public:
    explicit SeededRandom(std::uint64_t seed) : prng_(seed) {}
    void fill(std::span<std::uint8_t> out) override { prng_.fill(out); }

   private:
    Prng prng_;
  };

  Millis local_time() const { return clock_base_ + (context_.scheduler.now() - clock_started_); }
  storage::CommitFate draw_fate(const kms::Changes& changes);
  storage::CommitFate draw_fate_of(const kms::Changes& changes);
  Result<void> open_node();
  void take_stored_time();
  void schedule_tick();
  void step();
  void conclude(kms::Node::Outcome outcome);
  void lose_memory();
  void crash(Count how);
  void perhaps_put_back();
  void note_burn();
  void restart_later();
  const std::string& name() const { return context_.topology.kmes[index_].str(); }

  Context& context_;
  const std::size_t index_;
  SiteListener& listener_;
  std::shared_ptr<const kms::Policy> policy_;
  storage::MemoryStore store_;
  SeededRandom random_;
  std::unique_ptr<kms::Node> node_;
  std::vector<kms::Event> inbox_;
  std::uint64_t life_ = 0;  // actions scheduled in an earlier life do nothing
  bool step_scheduled_ = false;
  Millis copied_at_ = 0;
  Millis clock_base_ = 0;
  Millis clock_started_ = 0;
};

}  // namespace qkms::sim
