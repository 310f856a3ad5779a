#include "server/parts.h"

#include <openssl/evp.h>
#include <spdlog/spdlog.h>

#include <array>
#include <set>
#include <utility>

#include "base/text.h"
#include "certs/identity.h"
#include "certs/pem_file.h"

namespace qkms::server {
namespace {

certs::TlsFiles files_of(const ListenerConfig& config) {
  return {config.certificate, config.key, config.ca, config.crl};
}

// The name of whoever is at the other end, or nothing: then every request is denied.
std::string name_or_empty(const Result<std::string>& name) {
  if (name) return *name;
  spdlog::warn("a verified certificate that names nobody: {}", name.error().text);
  return "";
}

std::function<std::string(const SSL*)> sae_name(NameRule rule, std::map<std::string, SaeId> pinned) {
  return [rule, pinned = std::move(pinned)](const SSL* ssl) {
    const auto leaf = certs::verified_leaf(ssl);
    if (!leaf) return name_or_empty(std::unexpected(leaf.error()));
    const auto sae = certs::identify_sae(leaf->get(), rule, pinned);
    return name_or_empty(sae ? Result<std::string>(sae->str()) : std::unexpected(sae.error()));
  };
}

std::function<std::string(const SSL*)> operator_name(NameRule rule) {
  return [rule](const SSL* ssl) {
    const auto leaf = certs::verified_leaf(ssl);
    if (!leaf) return name_or_empty(std::unexpected(leaf.error()));
    return name_or_empty(certs::name_in(leaf->get(), rule));
  };
}

std::set<std::string> own_saes(const kms::Policy& policy) {
  std::set<std::string> names;
  for (const auto& [sae, home] : policy.homes) {
    if (home == policy.self) names.insert(sae.str());
  }
  return names;
}

std::function<bool(const std::string&)> is_one_of(std::set<std::string> names) {
  return [names = std::move(names)](const std::string& name) { return names.contains(name); };
}

// A digest of the CAs and revocation lists. Taken before the context is made: should a file change in between, the next
// reload sees the difference.
Result<std::string> trust_of(const ListenerConfig& config) {
  std::string trust;
  for (const auto& file : {config.ca, config.crl}) {
    if (file.empty()) continue;
    const auto bytes = certs::read_file(file, certs::kMaxCrlBytes);
    if (!bytes) return std::unexpected(bytes.error());
    std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    if (EVP_Digest(bytes->reveal().data(), bytes->size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
      return fail(ErrorCode::kInternal, "SHA-256 does not work");
    trust += to_hex({digest.data(), size});
  }
  return trust;
}

Result<http::ListenerSettings> listener_settings(const ListenerConfig& config, const ServerLimits& limits) {
  http::ListenerSettings settings;
  settings.address = config.address;
  settings.port = config.port;
  settings.limits = limits;
  auto trust = trust_of(config);
  if (!trust) return std::unexpected(trust.error());
  settings.trust = std::move(*trust);
  auto tls = certs::make_server_context(files_of(config), config.tls_minimum);
  if (!tls) return std::unexpected(tls.error());
  settings.tls = std::move(*tls);
  return settings;
}

Result<peer::TransportSettings> peer_settings(const Config& config) {
  peer::TransportSettings settings;
  settings.self = config.id;
  settings.address = config.peer.address;
  settings.port = config.peer.port;
  settings.name_rule = config.peer.name_rule;
  settings.peers = config.peers;
  settings.handshake_ms = config.limits.handshake_ms;
  auto trust = trust_of(config.peer);
  if (!trust) return std::unexpected(trust.error());
  settings.trust = std::move(*trust);
  // Between KMEs it is always TLS 1.3: both ends are ours.
  auto server_tls = certs::make_server_context(files_of(config.peer), TlsMinimum::k1_3);
  if (!server_tls) return std::unexpected(server_tls.error());
  auto client_tls = certs::make_client_context(files_of(config.peer), TlsMinimum::k1_3);
  if (!client_tls) return std::unexpected(client_tls.error());
  settings.server_tls = std::move(*server_tls);
  settings.client_tls = std::move(*client_tls);
  return settings;
}

}  // namespace

Result<Parts> make_parts(const Config& config) {
  auto sae = listener_settings(config.sae, config.limits);
  if (!sae) return std::unexpected(sae.error());
  sae->name_of = sae_name(config.sae.name_rule, config.sae_fingerprints);
  sae->serves = is_one_of(own_saes(config.policy));
  auto operators = listener_settings(config.operators, config.limits);
  if (!operators) return std::unexpected(operators.error());
  operators->name_of = operator_name(config.operators.name_rule);
  operators->serves = is_one_of({config.operators_allowed.begin(), config.operators_allowed.end()});
  auto peers = peer_settings(config);
  if (!peers) return std::unexpected(peers.error());
  return Parts{std::move(*sae), std::move(*operators), std::move(*peers)};
}

std::vector<ListenerExpiries> expiries_of(const Parts& parts) {
  return {{"sae", certs::expiries_of(parts.sae.tls.get())},
          {"peer", certs::expiries_of(parts.peers.server_tls.get())},
          {"operator", certs::expiries_of(parts.operators.tls.get())}};
}

std::vector<std::string> keep_what_needs_a_start(const Config& running, Config& next) {
  std::vector<std::string> different;
  const auto keep = [&different](const char* name, const auto& was, auto& is) {
    if (is == was) return;
    different.emplace_back(name);
    is = was;
  };
  const auto keep_place = [&](const char* name, const ListenerConfig& was, ListenerConfig& is) {
    if (is.address != was.address || is.port != was.port) different.emplace_back(name);
    is.address = was.address;
    is.port = was.port;
  };
  keep("kme.state_dir", running.state_dir, next.state_dir);
  keep("kme.keyring_file", running.keyring_file, next.keyring_file);
  keep_place("sae.listen", running.sae, next.sae);
  keep_place("peer.listen", running.peer, next.peer);
  keep_place("operator.listen", running.operators, next.operators);
  keep("limits.io_threads", running.limits.io_threads, next.limits.io_threads);
  keep("limits.engine_queue", running.limits.engine_queue, next.limits.engine_queue);
  keep("audit.keep_mib", running.audit_keep_mib, next.audit_keep_mib);
  keep("audit.syslog", running.audit_syslog, next.audit_syslog);
  keep("capacity.cached_extent_bytes", running.policy.capacity.cached_extent_bytes,
       next.policy.capacity.cached_extent_bytes);
  return different;
}

}  // namespace qkms::server
