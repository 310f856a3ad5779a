#include "server/config_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "server/driver_options.h"
#include "server/setting_options.h"

namespace qkms::server {

namespace {

constexpr std::int64_t kHourMs = 3'600'000;
constexpr std::int64_t kDayMs = 24 * kHourMs;
constexpr std::int64_t kYearMs = 365 * kDayMs;
constexpr std::int64_t kInt32Max = 2'147'483'647;  // shared decision 13: clients read Status as 32-bit integers
constexpr Bounds kKeyBits{8, 65'536, "bits", 8};
constexpr Bounds kDeadline{10, kHourMs, "milliseconds"};

const Choices<NameRule> kNameRules = {{"uri-or-cn", NameRule::kUriElseCommonName},
                                      {"uri", NameRule::kUri},
                                      {"dns", NameRule::kDns},
                                      {"cn", NameRule::kCommonName},
                                      {"subject", NameRule::kSubject}};
const Choices<TlsMinimum> kTlsVersions = {{"1.2", TlsMinimum::k1_2}, {"1.3", TlsMinimum::k1_3}};
const Choices<LogLevel> kLogLevels = {{"trace", LogLevel::kTrace},
                                      {"debug", LogLevel::kDebug},
                                      {"info", LogLevel::kInfo},
                                      {"warn", LogLevel::kWarn},
                                      {"error", LogLevel::kError}};

const Choices<int> kLimitedAnswers = {{"429", 429}, {"503", 503}};
const Choices<kms::ForeignKey> kForeignKeyAnswers = {{"401", kms::ForeignKey::kUnauthorised},
                                                     {"400", kms::ForeignKey::kNotFound}};
const Choices<ExtensionMeaning> kMeanings = {{kRouteTypeExtension, ExtensionMeaning::kRouteType},
                                             {kMaxAgeExtension, ExtensionMeaning::kMaxAge}};

std::vector<Option> kme_options(Config& config) {
  return {
      identifier("id", config.id, "KME-A",
                 "The name of this KME: unique in the network, and what its peer certificate says."),
      path("state_dir", config.state_dir, "/var/lib/qkms", "The folder of the store. One daemon at a time uses it."),
      master_key("master_key", config.master_key, "file:/etc/qkms/master.key",
                 "Where the key comes from that the store is sealed with (docs/operations/master-key.md)."),
      optional_path(
          "keyring_file", config.keyring_file, "/var/lib/qkms/keyring",
          "The keys of the store's rows, wrapped under the master key. Keep it out of every backup of the store: "
          "a key that is destroyed here must be gone everywhere. Without it: keyring, in state_dir."),
  };
}

std::vector<Option> listener_options(ListenerConfig& to, std::string_view listen, const std::string& name) {
  const std::string folder = "/etc/qkms/" + name;
  return {
      listen_at("listen", to.address, to.port, listen, "Where to listen."),
      path("certificate", to.certificate, folder + ".crt",
           "PEM file: this KME's certificate, then those that lead to its CA."),
      path("key", to.key, folder + ".key", "PEM file: the certificate's private key, readable by its owner alone."),
      path("ca", to.ca, folder + "-ca.crt", "PEM file: the CAs that callers' certificates must come from."),
      optional_path("crl", to.crl, folder + "-crl.pem",
                    "PEM file: revocation lists. With it every CA of a caller's chain must have a current one."),
      choice("name_from", to.name_rule, kNameRules, "Where in a caller's certificate its name is."),
  };
}

std::vector<Option> sae_options(Config& config) {
  auto options = listener_options(config.sae, "0.0.0.0:8443", "sae");
  options.push_back(choice("tls_minimum", config.sae.tls_minimum, kTlsVersions,
                           "The oldest version of TLS that is spoken with SAEs."));
  options.push_back(choice("limited_answer", config.answers.limited_status, kLimitedAnswers,
                           "Status when a quota refuses: 503 for clients that know the standard's codes alone."));
  options.push_back(
      choice("foreign_key_answer", config.policy.foreign_key, kForeignKeyAnswers,
             "Status for a key ID of another SAE: 401 is the standard's, 400 does not tell that it exists."));
  return options;
}

constexpr std::int64_t kMostPerSecond = 1'000'000'000'000;
constexpr std::int64_t kMostPerDay = 1'000'000'000'000'000;

std::vector<Option> quota_options(kms::Allowance& to) {
  return {
      integer("requests_per_s", to.requests_per_s, {0, kMostPerSecond, "requests a second"},
              "Requests of any kind; 0 is no limit. Ten seconds' worth may come at once, here and in the next two."),
      integer("keys_per_s", to.keys_per_s, {0, kMostPerSecond, "keys a second"}, "Keys given to it as a master."),
      integer("bits_per_s", to.bits_per_s, {0, kMostPerSecond, "bits a second"}, "Likewise, the bits in them."),
      integer("keys_per_day", to.keys_per_day, {0, kMostPerDay, "keys"}, "In 24 hours from the first one on."),
      integer("bits_per_day", to.bits_per_day, {0, kMostPerDay, "bits"}, "Likewise, the bits in them."),
  };
}

std::vector<Option> pair_quota_options(kms::PairTerms& to) {
  auto options = quota_options(to.allowance);
  auto reserve = integer("reserve_bytes", to.reserve_bytes, {0, std::int64_t{1} << 40, "bytes"},
                         "Of the key material shared with the slave's KME: kept for this pair, whatever others ask.");
  options.push_back(std::move(reserve));
  return options;
}

std::vector<Option> operator_options(Config& config) {
  auto options = listener_options(config.operators, "127.0.0.1:8445", "operator");
  options.push_back(names("allowed", config.operators_allowed, "The operators that are served; nobody else is."));
  return options;
}

std::vector<Option> key_options(kms::KeyLimits& keys) {
  const auto slaves = static_cast<std::int64_t>(kms::kMaxSlavesPerKme) - 1;
  return {
      integer("default_size_bits", keys.default_key_bits, kKeyBits, "Size of a key when the request gives none."),
      integer("min_size_bits", keys.min_key_bits, kKeyBits, "The shortest key that may be asked for."),
      integer("max_size_bits", keys.max_key_bits, kKeyBits, "The longest key that may be asked for."),
      integer("max_per_request", keys.max_keys_per_request, {1, 10'000, "keys"}, "The most keys in one request."),
      integer("max_count", keys.max_key_count, {1, kInt32Max, "keys"}, "Status never reports more keys than this."),
      integer("max_additional_slaves", keys.max_additional_slaves, {0, slaves, "SAEs"},
              "The most additional slaves in one request."),
      integer("life_ms", keys.key_life_ms, {1'000, kYearMs, "milliseconds"},
              "A key that was not fetched by then is burned."),
  };
}

std::vector<Option> timing_options(kms::Timing& timing) {
  return {
      integer("request_deadline_ms", timing.request_deadline_ms, {50, 60'000, "milliseconds"},
              "Get key is answered 503 when a slave's KME has not confirmed by then."),
      integer("heartbeat_ms", timing.heartbeat_ms, {50, 60'000, "milliseconds"},
              "A peer hears from us at least this often."),
      integer("silence_ms", timing.silence_ms, {100, 600'000, "milliseconds"},
              "A peer that was not heard for this long is taken as gone. At least twice heartbeat_ms."),
      integer("compare_ms", timing.compare_ms, {100, kYearMs, "milliseconds"},
              "Accounts are compared with a peer's this often at most, beside once in each session."),
      integer(
          "reconcile_ms", timing.reconcile_ms, {0, 86'400'000, "milliseconds"},
          "After a start, stored keys go out when all peers have said that the store is no old one, or after this."),
  };
}

std::vector<Option> limit_options(ServerLimits& limits) {
  return {
      integer("io_threads", limits.io_threads, {0, 1024, "threads"},
              "Threads for connections; 0 is one for each core."),
      integer("max_connections", limits.max_connections, {1, 1'000'000, "connections"},
              "Open connections of a listener."),
      integer("max_connections_per_client", limits.max_connections_per_client, {1, 1'000'000, "connections"},
              "Open connections from one address."),
      integer("max_connections_per_name", limits.max_connections_per_name, {1, 1'000'000, "connections"},
              "Open connections of one SAE, or one operator; more are closed after the handshake."),
      integer("max_handshakes", limits.max_handshakes, {1, 1'000'000, "connections"},
              "TLS handshakes under way at a listener; more connections are closed at once."),
      integer("max_handshakes_per_client", limits.max_handshakes_per_client, {1, 1'000'000, "connections"},
              "Of these, from one address."),
      integer("failed_handshakes_per_s", limits.failed_handshakes_per_s, {0, 1'000'000, "handshakes a second"},
              "An address with more that fail is kept out for a while, before the next; 0 is no limit."),
      integer("max_header_bytes", limits.max_header_bytes, {1024, 64 * 1024, "bytes"},
              "The largest request line and headers."),
      integer("max_body_bytes", limits.max_body_bytes, {1024, 16 * 1024 * 1024, "bytes"}, "The largest request body."),
      integer("handshake_ms", limits.handshake_ms, kDeadline, "Deadline of a TLS handshake."),
      integer("header_ms", limits.header_ms, kDeadline,
              "Deadline from a request's first byte to the end of its headers."),
      integer("body_ms", limits.body_ms, kDeadline, "Deadline of a request's body."),
      integer("idle_ms", limits.idle_ms, {10, kDayMs, "milliseconds"},
              "A connection without a request is closed after this time."),
      integer("write_ms", limits.write_ms, kDeadline, "Deadline for a client to take its answer."),
      integer("drain_ms", limits.drain_ms, {0, kHourMs, "milliseconds"},
              "At SIGTERM, requests under way get this long to end."),
      integer("engine_queue", limits.engine_queue, {16, 1'000'000, "events"},
              "Work that may wait; more is answered 503 at once."),
  };
}

std::vector<Option> capacity_options(kms::Capacity& capacity) {
  return {
      integer("max_requests_in_flight", capacity.max_requests_in_flight, {1, 1'000'000, "requests"},
              "Get key requests that wait for a peer at the same time."),
      integer("max_outbox", capacity.max_outbox, {16, 1'000'000, "messages"},
              "Messages that a peer has not acknowledged; above, Get key is answered 503."),
      integer("cached_extent_bytes", capacity.cached_extent_bytes, {0, std::int64_t{1} << 32, "bytes"},
              "Key material kept ready in memory; the rest waits sealed in the store."),
  };
}

std::vector<Option> peer_options(Draft::Peer& peer) {
  return {
      identifier("id", peer.config.id, "KME-B", "The peer's name, as its certificate says."),
      connect_to("address", peer.config.address, "kme-b.example:8444",
                 "Where the peer listens. Required when our own name sorts before the peer's, since then it is us who "
                 "connect."),
      integer("reservoir_capacity_bytes", peer.policy.reservoir_capacity_bytes, {64, std::int64_t{1} << 40, "bytes"},
              "While more key material than this is shared with the peer, new blocks are refused."),
  };
}

// In the order in which the reference configuration shows them, a link each.
constexpr std::array<std::string_view, 4> kDrivers = {"simulated", "files", "etsi014", "etsi004"};

const Choices<WhenFull> kWhenFull = {{"wait", WhenFull::kWait}, {"refuse", WhenFull::kRefuse}};

Choices<std::string> driver_choices() {
  Choices<std::string> choices;
  for (const std::string_view name : kDrivers) choices.emplace_back(name, name);
  return choices;
}

std::vector<Option> link_options(Draft::Link& link, std::size_t number) {
  static const Choices<std::string> drivers = driver_choices();
  link.config.driver = kDrivers[std::min(number, kDrivers.size()) - 1];
  Option driver = choice("driver", link.config.driver, drivers, "What kind of device this is.");
  driver.need = Need::kRequired;
  driver.shown = fmt::format("\"{}\"", link.config.driver);
  const std::string example = number == 1 ? "link-ab" : fmt::format("link-ab-{}", number);
  return {
      identifier("id", link.config.id, example, "The link's name: the same at both of its ends."),
      identifier("peer", link.config.peer, "KME-B", "The KME at the other end; one of [[peers]]."),
      driver,
      integer("block_wait_ms", link.policy.block_wait_ms, {100, kDayMs, "milliseconds"},
              "How long a block waits for the one at the other end."),
      integer("max_pending_bytes", link.policy.max_pending_bytes, {64, std::int64_t{1} << 32, "bytes"},
              "Blocks that wait for the other end; more are refused."),
      integer("max_rate_bps", link.config.max_rate_bps, {1000, 1'000'000'000'000, "bits a second"},
              "A device that delivers faster is slowed down. A block counts for at least 1 KiB."),
      choice("when_full", link.config.when_full, kWhenFull,
             "When the reservoir is full: leave key material with the device, or refuse what comes."),
      integer("silence_alarm_ms", link.config.silence_alarm_ms, {0, kDayMs, "milliseconds"},
              "No block for so long is an alarm; 0 is never. Take a few times what the device takes for a block."),
  };
}

const Choices<drivers::FileFormat> kFileFormats = {{"raw", drivers::FileFormat::kRaw},
                                                   {"uuid-records", drivers::FileFormat::kUuidRecords},
                                                   {"qcrypto", drivers::FileFormat::kQcrypto},
                                                   {"ait", drivers::FileFormat::kAit}};
const Choices<drivers::AfterIngest> kAfterIngest = {{"wipe", drivers::AfterIngest::kWipe},
                                                    {"keep", drivers::AfterIngest::kKeep}};

std::vector<Option> files_options(drivers::FilesSettings& to) {
  return {
      path("folder", to.folder, "/var/spool/qkms/link-ab",
           "Where the device's files appear. Their blocks are the same at both ends when the files are."),
      choice("format", to.format, kFileFormats, "What is in them; docs/drivers.md has each."),
      choice(
          "after", to.after, kAfterIngest,
          "What becomes of a file that was taken in: it is overwritten and removed, or kept in the sub-folder done."),
      integer("settle_ms", to.settle_ms, {0, kHourMs, "milliseconds"},
              "A file that no event announced is taken when it has not changed for so long."),
      integer("look_ms", to.look_ms, {10, kHourMs, "milliseconds"}, "How often to look for such files."),
  };
}

std::vector<Option> simulated_options(drivers::SimulatedSettings& to) {
  std::vector<Option> options = {
      text("seed", to.seed, "a text of your own",
           "The same at both ends. Whoever knows it knows every key: never for real use."),
      integer("rate_bps", to.rate_bps, {1, 10'000'000'000, "bits a second"},
              "Secret bits a second, on average, of model \"constant\"."),
      integer("burst_ms", to.burst_ms, {10, kHourMs, "milliseconds"}, "A burst of blocks comes once in this time."),
      probability("lose", to.faults.lose, "Part of the blocks that never arrive at this end."),
      probability("delay", to.faults.delay, "Part of the blocks that arrive delay_ms late."),
      probability("reorder", to.faults.reorder, "Part of the blocks that change places with the next one."),
      probability("corrupt", to.faults.corrupt, "Part of the blocks in which a bit is flipped."),
      probability("repeat", to.faults.repeat, "Part of the blocks that arrive twice."),
      integer("delay_ms", to.faults.delay_ms, {1, kHourMs, "milliseconds"}, "How late a delayed block is."),
  };
  for (auto& option : options_of(drivers::settings_of(to.physics))) options.push_back(std::move(option));
  return options;
}

std::vector<Section> simulated_sections(Draft& draft) {
  const auto physics = [&draft]() -> drivers::ModelSettings& { return draft.links.back().config.simulated.physics; };
  return {
      {"fibre",
       Occurs::kOnce,
       "Model \"fibre\": decoy-state BB84 (docs/simulated-links.md).",
       1,
       [physics] { return options_of(drivers::settings_of(physics().fibre)); },
       {}},
      {"satellite",
       Occurs::kOnce,
       "Model \"satellite\": it pairs the keys of two ground stations (docs/simulated-links.md).",
       1,
       [physics] { return options_of(drivers::settings_of(physics().satellite)); },
       {}},
  };
}

// The reference configuration shows two SAEs, so that its [[allow]] speaks of SAEs that it has.
std::vector<Option> sae_entry_options(Draft::Sae& sae, std::string_view example_id, std::string_view example_kme) {
  return {
      identifier("id", sae.id, example_id, "The SAE's name, as its certificate says."),
      identifier("kme", sae.kme, example_kme, "The KME that serves it: this one, or one of [[peers]]."),
      fingerprint("fingerprint", sae.fingerprint,
                  "The one certificate that is this SAE, whatever names it has; no other certificate is then."),
  };
}

std::vector<Option> allow_options(Draft::Allow& allow) {
  Option slaves = names("slaves", allow.slaves, "The slaves that it may ask keys for.");
  slaves.need = Need::kRequired;
  slaves.shown = "[\"SAE-B\"]";
  return {identifier("master", allow.master, "SAE-A", "The SAE that asks for keys."), slaves};
}

std::vector<Option> extension_options(Draft::Extension& extension) {
  Option name = text("name", extension.name, "acme_route_type", "The name that the clients use.");
  Option meaning = choice("means", extension.meaning, kMeanings, "What it means.");
  meaning.need = Need::kRequired;
  return {std::move(name), std::move(meaning)};
}

// A sub-section for each driver, read when it is the one that the link has.
std::vector<Section> driver_sections(Draft& draft) {
  const auto section = [&draft](std::string name, std::string sentence, auto open,
                                std::vector<Section> subsections = {}) {
    Section made{name,
                 Occurs::kOnce,
                 std::move(sentence),
                 1,
                 [&draft, open] { return open(draft.links.back().config); },
                 std::move(subsections)};
    made.wanted = [&draft, name] { return draft.links.back().config.driver == name; };
    return made;
  };
  return {
      section(
          "simulated", "Settings of driver \"simulated\". NOT SECRET: for demonstrations and tests.",
          [](LinkConfig& link) { return simulated_options(link.simulated); }, simulated_sections(draft)),
      section("files", "Settings of driver \"files\": a device, or a script, that leaves files in a folder.",
              [](LinkConfig& link) { return files_options(link.files); }),
      section("etsi014", "Settings of driver \"etsi014\": a device, or a KMS, that offers ETSI GS QKD 014.",
              etsi014_options),
      section("etsi004", "Settings of driver \"etsi004\": a device with the stream interface of ETSI GS QKD 004.",
              [](LinkConfig& link) { return etsi004_options(link.etsi004); }),
  };
}

std::vector<Section> repeated_sections(Draft& draft) {
  return {
      {"peers",
       Occurs::kManyTimes,
       "The KMEs that this one shares keys with.",
       1,
       [&draft] { return peer_options(draft.peers.emplace_back()); },
       {}},
      {"links", Occurs::kManyTimes, "The QKD devices at this site.", static_cast<int>(kDrivers.size()),
       [&draft] {
         Draft::Link& link = draft.links.emplace_back();
         return link_options(link, draft.links.size());
       },
       driver_sections(draft)},
      {"saes",
       Occurs::kManyTimes,
       "Every SAE that may appear in a request, here or at a peer.",
       2,
       [&draft] {
         auto& sae = draft.saes.emplace_back();
         sae.allowance = draft.allowance;
         return draft.saes.size() == 1 ? sae_entry_options(sae, "SAE-A", "KME-A")
                                       : sae_entry_options(sae, "SAE-B", "KME-B");
       },
       {{"quota",
         Occurs::kOnce,
         "What this SAE may use up, where it is served here; what is not given is as in [quota].",
         1,
         [&draft] { return quota_options(draft.saes.back().allowance); },
         {}}}},
      {"allow",
       Occurs::kManyTimes,
       "Who may ask keys for whom. What is not here is denied; the other direction is an entry of its own.",
       1,
       [&draft] { return allow_options(draft.allows.emplace_back()); },
       {{"quota",
         Occurs::kOnce,
         "What the master may use up with each of these slaves, beside its own quota.",
         1,
         [&draft] { return pair_quota_options(draft.allows.back().terms); },
         {}}}},
      {"extensions",
       Occurs::kManyTimes,
       "Further names for the extensions of Get key that this KME knows, for a vendor's clients.",
       1,
       [&draft] { return extension_options(draft.extensions.emplace_back()); },
       {}},
  };
}

}  // namespace

std::vector<Section> sections_of(Draft& draft) {
  Config& config = draft.config;
  const auto once = [](std::string name, std::string sentence, std::function<std::vector<Option>()> open) {
    return Section{std::move(name), Occurs::kOnce, std::move(sentence), 1, std::move(open), {}};
  };
  std::vector<Section> sections = {
      once("kme", "This KME.", [&config] { return kme_options(config); }),
      once("sae", "The listener for SAEs: ETSI GS QKD 014.", [&config] { return sae_options(config); }),
      once("peer",
           "The listener for other KMEs; TLS 1.3. Its certificate also serves when this KME connects to a peer.",
           [&config] { return listener_options(config.peer, "0.0.0.0:8444", "peer"); }),
      once("operator", "The listener for operators: health and metrics; TLS 1.3.",
           [&config] { return operator_options(config); }),
      once("keys", "What may be asked for.", [&config] { return key_options(config.policy.keys); }),
      once("timing", "Deadlines between KMEs.", [&config] { return timing_options(config.policy.timing); }),
      once("quota", "What each SAE that is served here may use up, unless it has a quota of its own.",
           [&draft] { return quota_options(draft.allowance); }),
      once("limits", "What connections may use up.", [&config] { return limit_options(config.limits); }),
      once("capacity", "What the engine may use up.", [&config] { return capacity_options(config.policy.capacity); }),
      once("audit", "The audit log, which is a part of the store.",
           [&config] {
             return std::vector{integer("keep_mib", config.audit_keep_mib, {1, 1 << 20, "MiB"},
                                        "The oldest records go when the log is larger than this: export it before."),
                                optional_path("syslog", config.audit_syslog, "/dev/log",
                                              "A Unix datagram socket that gets a copy of each record (RFC 5424).")};
           }),
      once("log", "The log: JSON lines on standard error.",
           [&config] {
             return std::vector{choice("level", config.log_level, kLogLevels, "The least serious lines to write.")};
           }),
  };
  for (auto& section : repeated_sections(draft)) sections.push_back(std::move(section));
  return sections;
}

}  // namespace qkms::server
