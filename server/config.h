// qkmsd's configuration: what the TOML file says, checked and with defaults filled in. deploy/qkmsd.full.toml documents
// every option.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/id.h"
#include "certs/rules.h"
#include "drivers/etsi004/etsi004.h"
#include "drivers/etsi014/etsi014.h"
#include "drivers/files.h"
#include "drivers/simulated.h"
#include "kms/policy.h"
#include "server/extensions.h"
#include "storage/master_key_source.h"

namespace qkms::server {

using certs::NameRule;
using certs::TlsMinimum;

struct ListenerConfig {
  std::string address = "0.0.0.0";
  std::uint16_t port = 0;             // 0: any free port, written to the log and to the ports file
  std::filesystem::path certificate;  // PEM, leaf first
  std::filesystem::path key;          // PEM, readable by nobody but the owner
  std::filesystem::path ca;           // PEM bundle that clients' chains must end in
  std::filesystem::path crl;          // PEM, the CAs' revocation lists; empty: revocation is not looked at
  NameRule name_rule = NameRule::kUriElseCommonName;
  TlsMinimum tls_minimum = TlsMinimum::k1_2;
};

// Deadlines in milliseconds, sizes in bytes; see server/ for where each applies.
struct ServerLimits {
  std::uint32_t io_threads = 0;  // 0: one per core
  std::uint32_t max_connections = 20'000;
  std::uint32_t max_connections_per_client = 2'000;
  std::uint32_t max_connections_per_name = 1'000;  // of one SAE, or one operator
  std::uint32_t max_handshakes = 512;              // that are under way
  std::uint32_t max_handshakes_per_client = 64;
  std::uint32_t failed_handshakes_per_s = 20;  // of one address, on average; 0: any number
  std::uint32_t max_header_bytes = 8 * 1024;
  std::uint32_t max_body_bytes = 64 * 1024;
  std::uint32_t handshake_ms = 5'000;
  std::uint32_t header_ms = 10'000;
  std::uint32_t body_ms = 10'000;
  std::uint32_t idle_ms = 300'000;
  std::uint32_t write_ms = 10'000;
  std::uint32_t drain_ms = 5'000;       // at SIGTERM, requests under way get this long
  std::uint32_t engine_queue = 16'384;  // events; above, requests are answered 503
  bool operator==(const ServerLimits&) const = default;
};

// How the standard's silence is filled, for clients that know no other codes (docs/divergences.md).
struct AnswerConfig {
  int limited_status = 429;  // when a rate, a quota or a reserve refuses; or 503
};

struct PeerConfig {
  KmeId id;
  std::optional<std::string> address;  // host:port to connect to. The lower KME ID connects; the other side listens
  bool operator==(const PeerConfig&) const = default;
};

// What becomes of key material when the reservoir is full: it stays with the device, or it is refused.
enum class WhenFull { kWait, kRefuse };

struct LinkConfig {
  LinkId id;
  KmeId peer;
  std::string driver;  // whose settings, of those below, are in force
  drivers::SimulatedSettings simulated;
  drivers::FilesSettings files;
  drivers::Etsi004Settings etsi004;
  drivers::Etsi014Settings etsi014;
  std::optional<drivers::Etsi014End> etsi014_leads;  // nothing: the end of the lower KME ID does
  std::uint64_t max_rate_bps = 1'000'000'000;
  std::uint32_t silence_alarm_ms = 60'000;
  WhenFull when_full = WhenFull::kWait;
  bool operator==(const LinkConfig&) const = default;
};

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError };

struct Config {
  KmeId id;
  std::filesystem::path state_dir;  // the store, its lock and the ports file
  storage::MasterKeySource master_key;
  std::filesystem::path keyring_file;  // empty: "keyring" in state_dir
  std::filesystem::path store_file() const { return state_dir / "store.db"; }
  ListenerConfig sae, peer, operators;
  // Lower-case hex SHA-256 of a leaf certificate, to the SAE that it is whatever names are in it (certs/identity.h).
  std::map<std::string, SaeId> sae_fingerprints;
  ExtensionNames extensions = standard_extensions();
  AnswerConfig answers;
  std::vector<std::string> operators_allowed;  // names that the operator listener serves
  std::vector<PeerConfig> peers;
  std::vector<LinkConfig> links;
  ServerLimits limits;
  LogLevel log_level = LogLevel::kInfo;
  std::uint32_t audit_keep_mib = 1024;  // of the audit log, in the store
  std::filesystem::path audit_syslog;   // a socket that gets a copy of it; empty: none does
  kms::Policy policy;                   // self, peers, links, homes, allowed, keys, timing, capacity
};

// Reads and checks a configuration. Errors name file, line, option and the accepted values; all problems found are in
// the text, one a line. `name` is what messages call the text. Paths stay as written.
Result<Config> parse_config(std::string_view toml, std::string_view name);

// The same for a file of at most kMaxConfigBytes; relative paths in it become relative to its folder.
Result<Config> read_config(const std::filesystem::path& file);
inline constexpr std::size_t kMaxConfigBytes = 1 << 20;

// Looks at the files that a configuration names: certificates, keys and their permissions, master key, state folder.
// All problems found are in the text, one a line.
Result<void> check_files(const Config& config);

// Every option with a sentence, its default and its range, as TOML: the text of deploy/qkmsd.full.toml.
std::string reference_config();

}  // namespace qkms::server
