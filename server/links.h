// The links of this site: a supervised driver for each, and what is known of it.
//
// Operation: update() at the start and at a reload, stop() once. Links whose settings stay as they are go on.
// Concurrency: all from any thread; drivers call in from their own.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "drivers/supervisor.h"
#include "server/config.h"
#include "server/engine_thread.h"

namespace qkms::server {

class Links final : private drivers::BlockSink {
 public:
  // `engine` must outlive this.
  explicit Links(EngineThread& engine) : engine_(engine) {}
  ~Links() override { stop(); }

  void update(const std::vector<LinkConfig>& links);
  void stop();
  // While the KME is sealed no driver runs, and none holds a block.
  void pause();
  void resume();

  std::vector<drivers::LinkStatus> status() const;
  // Has the driver look at its device, on a thread of its own: one at a time, kOverloaded says that another is under
  // way. kNotFound: no such link.
  using Answer = std::move_only_function<void(Result<std::string>)>;
  void test(const LinkId& link, Answer answer);
  // What the driver at a link's other end has told.
  void hear(kms::DriverNote note);
  // Whether the reservoir takes blocks.
  void fill(const kms::LinkFull& link);
  // What the engine says of a link's blocks.
  void noticed(const kms::Notice& notice);

 private:
  struct Running {
    LinkConfig config;
    std::shared_ptr<drivers::LinkSupervisor> supervisor;  // shared with whoever probes it meanwhile
  };
  void apply(const std::vector<LinkConfig>& links);
  void start(const LinkConfig& link);
  std::shared_ptr<drivers::LinkSupervisor> find(const LinkId& link) const;

  Result<void> offer(const LinkId& link, drivers::Block& block) override;
  void tell_twin(const LinkId& link, std::string note) override;
  void quarantined(const LinkId& link, const BlockId& block, std::size_t bytes, const std::string& why) override;

  EngineThread& engine_;
  std::mutex changing_;  // one update, pause or resume at a time
  mutable std::mutex mutex_;
  std::vector<LinkConfig> wanted_;
  bool paused_ = false;
  std::set<LinkId> full_;  // for drivers that start later
  std::map<LinkId, Running> running_;
  bool testing_ = false, stopped_ = false;
  std::jthread tester_;  // the last one; joined by the next, and by stop()
};

}  // namespace qkms::server
