// The whole of qkmsd without its command line: puts the parts together, starts them in order, stops them in reverse.
//
// Operation: start() returns when everything serves; reload() puts the file's present contents in force, as far as that
// can be done without a new start; stop() once, from the thread that started.
// Concurrency: the private overrides are called on the engine's thread, apply() on the reloader's.
#pragma once

#include <atomic>
#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "server/config.h"
#include "server/current.h"
#include "server/engine_thread.h"
#include "server/exit_code.h"
#include "server/http/listener.h"
#include "server/links.h"
#include "server/metrics.h"
#include "server/notice_log.h"
#include "server/operator_routes.h"
#include "server/os_random.h"
#include "server/parts.h"
#include "server/peer/transport.h"
#include "server/reloader.h"
#include "server/sae_routes.h"
#include "server/seal_commands.h"
#include "server/store_commands.h"
#include "server/syslog_copy.h"
#include "server/watch.h"
#include "storage/sealable_store.h"

namespace qkms::server {

struct Ports {
  std::uint16_t sae = 0, peer = 0, operators = 0;
};

// Makes the state folder, closed to group and others, if it is not there yet.
std::expected<void, StartFailure> make_state_dir(const Config& config);

class Daemon final : private EngineOutlet {
 public:
  // `config_file` is what reload() reads. `on_death` is called on the engine's thread when the daemon can only exit;
  // dead() is then true.
  static std::expected<std::unique_ptr<Daemon>, StartFailure> start(Config config, std::filesystem::path config_file,
                                                                    std::function<void()> on_death);
  ~Daemon() override;

  // From any thread; returns at once. Everything is checked first: when something is wrong, nothing changes.
  void reload(std::string who, Reloader::Completion done);

  void stop();
  bool dead() const { return dead_; }
  Ports ports() const;

 private:
  using Started = std::expected<void, StartFailure>;

  Daemon(Config config, std::filesystem::path config_file, std::function<void()> on_death);

  Started start_all();
  Started lock_store();
  std::expected<std::unique_ptr<kms::Node>, StartFailure> open_node(std::shared_ptr<const kms::Policy> policy,
                                                                    SecretBytes master_key);
  void log_what_was_found();
  void audit_what_was_found();
  Started open_transport(const Parts& parts);
  Started open_listeners(const Parts& parts);
  Started write_ports() const;
  Reloader::Outcome reload_for(std::string_view who);
  Reloader::Outcome apply_file();
  void audit(api::AuditRecord record);
  Result<storage::AuditPage> read_audit(std::uint64_t first, std::size_t bytes);
  void make_syslog_copy();
  void start_syslog_copy();
  void apply(Config config, Parts parts);
  Observed observe() const;

  void send(kms::SendEffect effect) override;
  void close(kms::CloseEffect effect) override;
  void close_all_sessions() override;
  void notice(const kms::Notice& notice) override;
  void note(kms::DriverNote note) override;
  void link_full(const kms::LinkFull& link) override;
  void state_changed(kms::Node::State state) override;

  // In the order of their making; each refers only to those above it. The engine's outlet is this object, which passes
  // on to transport_.
  Current<Config> config_;
  const std::filesystem::path config_file_;
  const std::function<void()> on_death_;
  Current<std::vector<ListenerExpiries>> expiries_{{}};
  std::atomic<std::uint64_t> reloads_ = 0, reloads_refused_ = 0;
  std::atomic<bool> dead_ = false;
  bool stopped_ = false;
  Watch watch_{config_.get()->state_dir};
  OsRandom random_;
  Metrics metrics_;
  NoticeLog notice_log_;
  std::unique_ptr<kms::Store> store_;
  storage::SealableStore* sealable_store_ = nullptr;  // store_, or what is in it; for the engine's thread
  std::unique_ptr<EngineThread> engine_;
  std::unique_ptr<Links> links_;
  std::unique_ptr<StoreCommands> store_commands_;
  std::unique_ptr<SealCommands> seal_commands_;
  std::unique_ptr<peer::Transport> transport_;
  std::unique_ptr<SaeRoutes> sae_routes_;
  std::unique_ptr<OperatorRoutes> operator_routes_;
  std::unique_ptr<http::IoThreads> io_threads_;
  std::unique_ptr<http::Listener> operator_listener_;
  std::unique_ptr<http::Listener> sae_listener_;
  std::unique_ptr<SyslogCopy> syslog_copy_;
  std::optional<std::uint64_t> first_opening_;  // of the store: the last record of the audit log then
  bool syslog_started_ = false;
  std::unique_ptr<Reloader> reloader_;  // the first to be stopped: it touches all of the above
};

}  // namespace qkms::server
