// What the operator listener serves: is it alive, is it ready and if not why, the metrics, the audit log, and a reload
// of the configuration. Whoever gets here is an operator: the listener serves nobody else. No key bits pass here, but
// what an operator types for a master key does, as a body that wipes itself.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/engine_thread.h"
#include "server/http/handler.h"
#include "server/links.h"
#include "server/metrics.h"
#include "server/reloader.h"
#include "server/store_commands.h"
#include "storage/audit_chain.h"

namespace qkms::server {

struct OperatorSettings {
  std::filesystem::path state_dir;
  std::function<Observed()> observe;  // without the engine's report; called on any thread
  std::function<void(std::string who, Reloader::Completion)> reload;
  // The lines from this number on, about as many bytes of them. Called on the engine's thread.
  std::function<Result<storage::AuditPage>(std::uint64_t first, std::size_t bytes)> read_audit;
  std::function<void(StoreCommand command, std::string who, SecretBytes typed, StoreCommands::Answer)> command;
  std::function<void(std::string who, StoreCommands::Answer)> seal;
  std::function<void(std::string who, SecretBytes typed, StoreCommands::Answer)> unseal;
  std::function<void(const LinkId& link, Links::Answer)> test_link;
};

// One line of /readyz.
struct Check {
  std::string name, trouble;  // no trouble: ok
};

// Not ready while one of these is in trouble: the store, the clock, the disk, or all peers together.
std::vector<Check> readiness(kms::Node::State state, const kms::Report& report, const std::filesystem::path& state_dir);

class OperatorRoutes final : public http::Handler {
 public:
  // Both must outlive the routes.
  OperatorRoutes(OperatorSettings settings, EngineThread& engine, const Metrics& metrics)
      : settings_(std::move(settings)), engine_(engine), metrics_(metrics) {}

  void handle(const http::Client& client, http::Request request, http::Responder respond) override;
  http::Response refuse(const http::Refusal& refusal) override;

 private:
  using WithReport = std::function<http::Response(kms::Report)>;
  void answer_with_report(http::Responder respond, WithReport make);
  void show_metrics(http::Responder respond);
  void show_readiness(const http::Request& request, http::Responder respond);
  void show_links(http::Responder respond);
  void test_link(const http::Request& request, http::Responder respond);
  void show_audit(const http::Request& request, http::Responder respond);
  void reload(const http::Client& client, http::Responder respond);

  OperatorSettings settings_;
  EngineThread& engine_;
  const Metrics& metrics_;
};

}  // namespace qkms::server
