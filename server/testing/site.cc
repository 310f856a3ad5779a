#include "server/testing/site.h"

#include <chrono>
#include <stdexcept>
#include <thread>

#include "certs/dev_ca.h"
#include "server/log.h"
#include "storage/key_file.h"

namespace qkms::server::testing {
namespace {

void require(const Result<void>& done) {
  if (!done) throw std::runtime_error(done.error().text);
}

// The logger is made before any thread is, as main() does it.
[[maybe_unused]] const bool log_started = [] {
  start_log(LogLevel::kWarn);
  return true;
}();

}  // namespace

Pki::Pki() {
  certs::DevPki pki;
  pki.kmes = {"KME-A", "KME-B", "KME-C"};
  pki.saes = {"SAE-A", "SAE-B", "SAE-X"};
  pki.operators = {"admin", "stranger"};
  require(certs::make_dev_pki(folder_.path(), pki));
}

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // leaves the cores to what is waited for
  }
  return condition();
}

Site::Site(const Pki& pki, const std::string& self, const std::string& other) {
  const KmeId self_id = KmeId::parse(self).value(), other_id = KmeId::parse(other).value();
  const LinkId link = LinkId::parse("link").value();
  const SaeId a = SaeId::parse("SAE-A").value(), b = SaeId::parse("SAE-B").value();
  // Sanitizers and busy machines are slow; a test that wants a short deadline sets it.
  config.policy.timing.request_deadline_ms = 20'000;
  config.limits.handshake_ms = config.limits.header_ms = config.limits.body_ms = config.limits.write_ms = 60'000;
  const auto listener = [&](const std::string& what) {
    ListenerConfig one;
    one.address = "127.0.0.1";
    one.certificate = pki.file("kme/" + self + "/" + what + ".crt");
    one.key = pki.file("kme/" + self + "/" + what + ".key");
    one.ca = pki.file(what + "-ca.crt");
    return one;
  };
  config.id = self_id;
  config.state_dir = folder_.path() / "state";
  const auto key = folder_.path() / "master.key";
  require(storage::create_key_file(key));
  config.master_key = {storage::MasterKeySource::Scheme::kFile, key.string()};
  config.sae = listener("sae");
  config.peer = listener("peer");
  config.operators = listener("operator");
  config.operators_allowed = {"admin"};
  config.peers = {{other_id, std::nullopt}};
  config.limits.io_threads = 2;
  config.limits.drain_ms = 1000;

  LinkConfig simulated;
  simulated.id = link;
  simulated.peer = other_id;
  simulated.driver = "simulated";
  simulated.simulated.seed = "test";
  simulated.simulated.rate_bps = 10'000'000;
  simulated.simulated.burst_ms = 50;
  config.links = {simulated};

  config.policy.self = self_id;
  config.policy.peers[other_id] = {};
  config.policy.links[link] = {.peer = other_id};
  config.policy.homes = {{a, KmeId::parse("KME-A").value()}, {b, KmeId::parse("KME-B").value()}};
  config.policy.allowed = {{a, b}, {b, a}};
}

void Site::connect_to(std::uint16_t peer_port) { config.peers[0].address = "127.0.0.1:" + std::to_string(peer_port); }

void Site::start() {
  auto started = Daemon::start(config, "", [] {});
  if (!started) throw std::runtime_error(started.error().text);
  daemon_ = std::move(*started);
  ports_ = daemon_->ports();
  config.sae.port = ports_.sae;
  config.peer.port = ports_.peer;
  config.operators.port = ports_.operators;
}

}  // namespace qkms::server::testing
