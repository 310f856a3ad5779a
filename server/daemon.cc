#include "server/daemon.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <utility>

#include "base/failpoint.h"
#include "base/secret_heap.h"
#include "base/text.h"
#include "certs/wall_clock.h"
#include "server/failpoint_store.h"
#include "server/log.h"
#include "server/version.h"
#include "storage/master_key.h"

namespace qkms::server {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPortsFile = "ports.json";

std::unexpected<StartFailure> failure(ExitCode code, std::string text) {
  return std::unexpected(StartFailure{code, std::move(text)});
}

// Of what the file has now: a reload reads it a moment earlier, and whoever changes it in between reloads again.
std::string digest_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  return to_hex(storage::sha256(std::string_view(text)));
}

// What the operator can correct is a matter of configuration; the rest is the machine's.
std::unexpected<StartFailure> failure_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kClosed:
      return failure(ExitCode::kBusy, error.text);
    case ErrorCode::kIo:
    case ErrorCode::kCorrupt:
      return failure(ExitCode::kIo, error.text);
    case ErrorCode::kInternal:
      return failure(ExitCode::kInternal, error.text);
    default:
      return failure(ExitCode::kConfig, error.text);
  }
}

spdlog::level::level_enum level_of(kms::NoticeKind kind) {
  switch (kind) {
    case kms::NoticeKind::kBlockAccepted:
    case kms::NoticeKind::kExtentsGiven:
      return spdlog::level::debug;
    case kms::NoticeKind::kPairMet:
    case kms::NoticeKind::kPairResumed:
    case kms::NoticeKind::kKeysExpired:
    case kms::NoticeKind::kPolicyReplaced:
    case kms::NoticeKind::kBlockRefused:  // as a rule because the reservoir is full, which is good news
      return spdlog::level::info;
    case kms::NoticeKind::kStoreRolledBack:
    case kms::NoticeKind::kLinkDivergence:
      return spdlog::level::err;
    default:
      return spdlog::level::warn;
  }
}

}  // namespace

std::expected<void, StartFailure> make_state_dir(const Config& config) {
  std::error_code error;
  const bool made = fs::create_directories(config.state_dir, error);
  if (!error && made) fs::permissions(config.state_dir, fs::perms::owner_all, error);
  if (!error) return {};
  return failure(ExitCode::kIo,
                 fmt::format("cannot make the state folder {}: {}", config.state_dir.string(), error.message()));
}

Daemon::Daemon(Config config, std::filesystem::path config_file, std::function<void()> on_death)
    : config_(std::move(config)), config_file_(std::move(config_file)), on_death_(std::move(on_death)) {}

std::expected<std::unique_ptr<Daemon>, StartFailure> Daemon::start(Config config, std::filesystem::path config_file,
                                                                   std::function<void()> on_death) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(config), std::move(config_file), std::move(on_death)));
  if (auto started = daemon->start_all(); !started) return std::unexpected(started.error());
  return daemon;
}

Daemon::~Daemon() { stop(); }

Daemon::Started Daemon::start_all() {
  const auto config = config_.get();
  if (auto done = make_state_dir(*config); !done) return done;
  if (auto raised = watch_.raise_floor(); !raised) return failure_of(raised.error());
  const auto parts = make_parts(*config);
  if (!parts) return failure(ExitCode::kConfig, parts.error().text);
  expiries_.replace(expiries_of(*parts));
  if (auto done = lock_store(); !done) return done;
  if (auto done = open_transport(*parts); !done) return done;
  engine_->start();
  if (engine_->state() == kms::Node::State::kOpen) start_syslog_copy();
  transport_->start();
  if (auto done = open_listeners(*parts); !done) return done;
  if (engine_->state() == kms::Node::State::kSealed) links_->pause();
  links_->update(config->links);
  watch_.start([this] { return links_->status(); });
  reloader_ = std::make_unique<Reloader>([this](std::string_view who) { return reload_for(who); });
  // Everything that a request may touch is there.
  operator_listener_->start();
  sae_listener_->start();
  if (auto done = write_ports(); !done) return done;
  audit({.action = api::AuditAction::kStart,
         .actor = config->id.str(),
         .subject = config_file_.string(),
         .reason = fmt::format("qkmsd {}; sha256 {}", kVersion, digest_of(config_file_))});
  const Ports bound = ports();
  spdlog::info("KME {} serves: SAEs on port {}, peers on {}, operators on {}", config->id.str(), bound.sae, bound.peer,
               bound.operators);
  return {};
}

void Daemon::stop() {
  if (std::exchange(stopped_, true)) return;
  at_failpoint(Failpoint::kShutdownBegin);
  if (reloader_) reloader_->stop();
  const std::chrono::milliseconds drain(config_.get()->limits.drain_ms);
  if (sae_listener_) sae_listener_->stop(drain);
  at_failpoint(Failpoint::kShutdownDrained);
  if (operator_listener_) operator_listener_->stop(std::chrono::milliseconds(0));
  if (seal_commands_) seal_commands_->stop();
  if (store_commands_) store_commands_->stop();
  if (links_) links_->stop();
  if (transport_) transport_->stop();
  if (engine_ && !dead_ && reloader_) audit({.action = api::AuditAction::kStop, .actor = config_.get()->id.str()});
  if (engine_) engine_->stop();
  if (syslog_copy_ && !dead_)  // its thread is gone, so the store is ours
    syslog_copy_->finish([this](std::uint64_t first, std::size_t bytes) { return read_audit(first, bytes); });
  if (io_threads_) io_threads_->stop();
  watch_.stop();
}

Daemon::Started Daemon::lock_store() {
  const auto config = config_.get();
  auto store = storage::SealableStore::lock(
      config->store_file(),
      {.keyring = config->keyring_file, .epochs = {}, .audit_bytes = std::uint64_t{config->audit_keep_mib} << 20});
  if (!store) return failure_of(store.error());
  sealable_store_ = store->get();
  store_ = with_failpoints(std::move(*store));
  auto policy = std::make_shared<const kms::Policy>(config->policy);
  const auto provider = storage::make_master_key_provider(config->master_key);
  if (!provider) return failure(ExitCode::kConfig, provider.error().text);
  std::unique_ptr<kms::Node> node;
  if ((*provider)->needs_operator()) {
    node = kms::Node::sealed(std::move(policy), *store_, random_);
    spdlog::warn("the KME starts sealed: qkmsctl unseal will ask for the {} of {}", (*provider)->asks_for(),
                 (*provider)->describe());
  } else {
    auto key = (*provider)->fetch({});
    if (!key) return failure(ExitCode::kConfig, key.error().text);
    auto opened = open_node(std::move(policy), std::move(*key));
    if (!opened) return std::unexpected(opened.error());
    node = std::move(*opened);
  }
  EngineOutlet& outlet = *this;
  engine_ = std::make_unique<EngineThread>(std::move(node), outlet, config->limits.engine_queue);
  links_ = std::make_unique<Links>(*engine_);
  if (engine_->state() == kms::Node::State::kOpen) audit_what_was_found();
  if (!config->audit_syslog.empty()) make_syslog_copy();
  return {};
}

std::expected<std::unique_ptr<kms::Node>, StartFailure> Daemon::open_node(std::shared_ptr<const kms::Policy> policy,
                                                                          SecretBytes master_key) {
  if (const auto opened = sealable_store_->unseal(std::move(master_key)); !opened) return failure_of(opened.error());
  log_what_was_found();
  auto node = kms::Node::open(std::move(policy), *store_, random_, 0);
  if (node) return std::move(*node);
  Error error = node.error();
  if (!sealable_store_->trouble().empty()) error.text += ": " + sealable_store_->trouble();
  return failure_of(error);
}

// Each time that the store was opened.
void Daemon::log_what_was_found() {
  storage::SqliteStore& store = *sealable_store_->opened();
  for (const storage::Quarantined& group : store.quarantined()) {
    spdlog::error("the store's rows of {} are not those that were written last ({}); all {} are dropped", group.name,
                  group.why, group.rows);
  }
  if (store.is_behind_keyring()) spdlog::warn("the store is an old copy: its keyring has seen a later one");
  if (const std::string copy = config_.get()->store_file().string() + ".v1"; std::filesystem::exists(copy)) {
    spdlog::warn("{}, kept when the store was brought to another format, opens with the master key alone: delete it",
                 copy);
  }
  if (const auto end = store.read_audit(INT64_MAX, 0); end && !first_opening_) first_opening_ = end->last.sequence;
}

void Daemon::audit_what_was_found() {
  for (const storage::Quarantined& group : sealable_store_->opened()->quarantined()) {
    audit({.action = api::AuditAction::kQuarantine,
           .actor = config_.get()->id.str(),
           .subject = group.name,
           .count = group.rows,
           .reason = group.why});
  }
}

Result<storage::AuditPage> Daemon::read_audit(std::uint64_t first, std::size_t bytes) {
  const auto store = sealable_store_->to_look_at();
  if (!store) return std::unexpected(store.error());
  return (*store)->read_audit(first, bytes);
}

void Daemon::make_syslog_copy() {
  const auto read = [this](std::uint64_t first, std::size_t bytes) -> Result<storage::AuditPage> {
    std::promise<Result<storage::AuditPage>> promise;
    auto page = promise.get_future();
    const auto queued = engine_->between_batches([&] { promise.set_value(read_audit(first, bytes)); });
    if (!queued) return std::unexpected(queued.error());
    return page.get();
  };
  syslog_copy_ = std::make_unique<SyslogCopy>(config_.get()->audit_syslog, read);
}

// With the records that come after the first opening of the store, which may be long after the daemon's start.
void Daemon::start_syslog_copy() {
  if (syslog_copy_ && first_opening_ && !std::exchange(syslog_started_, true)) syslog_copy_->start(*first_opening_);
}

Daemon::Started Daemon::open_transport(const Parts& parts) {
  auto settings = parts.peers;
  settings.push = [this](kms::Event event) { return engine_->push(std::move(event)); };
  auto transport = peer::Transport::open(std::move(settings));
  if (!transport) return failure_of(transport.error());
  transport_ = std::move(*transport);
  if (engine_->state() != kms::Node::State::kOpen) transport_->pause();
  return {};
}

Daemon::Started Daemon::open_listeners(const Parts& parts) {
  const auto config = config_.get();
  OperatorSettings operators;
  operators.state_dir = config->state_dir;
  operators.observe = [this] { return observe(); };
  operators.reload = [this](std::string who, Reloader::Completion done) { reload(std::move(who), std::move(done)); };
  operators.read_audit = [this](std::uint64_t first, std::size_t bytes) { return read_audit(first, bytes); };
  store_commands_ = std::make_unique<StoreCommands>(*engine_, *sealable_store_, config->state_dir,
                                                    [this] { return config_.get()->master_key; });
  seal_commands_ = std::make_unique<SealCommands>(
      *engine_, *sealable_store_, [this] { return config_.get()->master_key; },
      SealCommands::Hooks{.closing = [this] { store_commands_->give_up("the KME is sealed"); },
                          .opened =
                              [this] {
                                log_what_was_found();
                                audit_what_was_found();
                                start_syslog_copy();
                              }});
  operators.seal = [this](std::string who, StoreCommands::Answer answer) {
    seal_commands_->seal(std::move(who), std::move(answer));
  };
  operators.unseal = [this](std::string who, SecretBytes typed, StoreCommands::Answer answer) {
    seal_commands_->unseal(std::move(who), std::move(typed), std::move(answer));
  };
  operators.command = [this](StoreCommand command, std::string who, SecretBytes typed, StoreCommands::Answer answer) {
    store_commands_->run(command, std::move(who), std::move(typed), std::move(answer));
  };
  operators.test_link = [this](const LinkId& link, Links::Answer answer) { links_->test(link, std::move(answer)); };
  operator_routes_ = std::make_unique<OperatorRoutes>(std::move(operators), *engine_, metrics_);
  sae_routes_ = std::make_unique<SaeRoutes>(*engine_, metrics_, SaeSettings{config->extensions, config->answers});
  io_threads_ = std::make_unique<http::IoThreads>(config->limits.io_threads);
  auto listener = http::Listener::open(parts.operators, *operator_routes_, *io_threads_);
  if (!listener) return failure_of(listener.error());
  operator_listener_ = std::move(*listener);
  listener = http::Listener::open(parts.sae, *sae_routes_, *io_threads_);
  if (!listener) return failure_of(listener.error());
  sae_listener_ = std::move(*listener);
  return {};
}

// --- reload

void Daemon::reload(std::string who, Reloader::Completion done) { reloader_->request(std::move(who), std::move(done)); }

Reloader::Outcome Daemon::reload_for(std::string_view who) {
  Reloader::Outcome outcome = apply_file();
  audit({.action = api::AuditAction::kConfiguration,
         .actor = std::string(who),
         .subject = config_file_.string(),
         .reason = outcome ? fmt::format("in force; sha256 {}", digest_of(config_file_))
                           : fmt::format("refused: {}", outcome.error().text)});
  return outcome;
}

// A full queue loses nothing that matters: whoever fills it is in the log a thousand times.
void Daemon::audit(api::AuditRecord record) {
  if (const auto queued = engine_->push(kms::AuditEvent{std::move(record)}); !queued)
    spdlog::warn("not in the audit log: {}", queued.error().text);
}

Reloader::Outcome Daemon::apply_file() {
  const auto refuse = [this](const Error& error) -> Reloader::Outcome {
    ++reloads_refused_;
    spdlog::error("the configuration is not reloaded, the one before stays in force: {}", error.text);
    return std::unexpected(error);
  };
  auto config = read_config(config_file_);
  if (!config) return refuse(config.error());
  if (config->id != config_.get()->id)  // peers, SAEs and certificates hang on it
    return refuse({ErrorCode::kInvalid, fmt::format("option 'kme.id' is \"{}\"; accepted while it runs: \"{}\"",
                                                    config->id.str(), config_.get()->id.str())});
  auto waiting = keep_what_needs_a_start(*config_.get(), *config);
  if (const auto files = check_files(*config); !files) return refuse(files.error());
  auto parts = make_parts(*config);
  if (!parts) return refuse(parts.error());
  at_failpoint(Failpoint::kReloadBeforeApply);
  apply(std::move(*config), std::move(*parts));
  at_failpoint(Failpoint::kReloadAfterApply);
  ++reloads_;
  spdlog::info("the configuration is reloaded{}{}",
               waiting.empty() ? "" : "; these options wait for the next start: ", fmt::join(waiting, ", "));
  return waiting;
}

// Whoever loses a right loses it in the engine first. A new peer is known there before its session can come up.
void Daemon::apply(Config config, Parts parts) {
  set_log_level(config.log_level);
  engine_->replace_policy(std::make_shared<const kms::Policy>(config.policy));
  expiries_.replace(expiries_of(parts));
  sae_routes_->replace({config.extensions, config.answers});
  sae_listener_->replace(std::move(parts.sae));
  operator_listener_->replace(std::move(parts.operators));
  transport_->replace(std::move(parts.peers));
  links_->update(config.links);
  config_.replace(std::move(config));
}

// Written aside and renamed, so that whoever waits for the file reads all of it. One that says so already stays: a full
// disk need not be written to for it.
Daemon::Started Daemon::write_ports() const {
  const fs::path file = config_.get()->state_dir / kPortsFile;
  const fs::path aside = fs::path(file).concat(".new");
  const Ports bound = ports();
  const std::string text =
      fmt::format("{{\"sae\":{},\"peer\":{},\"operator\":{}}}\n", bound.sae, bound.peer, bound.operators);
  std::ifstream in(file);
  if (std::string(std::istreambuf_iterator<char>(in), {}) == text) return {};
  std::ofstream out(aside, std::ios::trunc);
  out << text;
  out.close();
  std::error_code error;
  if (out) fs::rename(aside, file, error);
  if (out && !error) return {};
  return failure(ExitCode::kIo, fmt::format("cannot write {}", file.string()));
}

Ports Daemon::ports() const { return {sae_listener_->port(), transport_->port(), operator_listener_->port()}; }

Observed Daemon::observe() const {
  Observed observed;
  if (operator_listener_) observed.listeners.push_back({"operator", &operator_listener_->stats()});
  if (sae_listener_) observed.listeners.push_back({"sae", &sae_listener_->stats()});
  observed.peers = &transport_->stats();
  observed.links = links_->status();
  observed.state = engine_->state();
  observed.queue_depth = engine_->queue_depth();
  observed.unseals_refused = seal_commands_->refused();
  observed.expiries = *expiries_.get();
  observed.secret_memory = SecretHeap::of_process().figures();
  observed.clock_steps = watch_.clock_steps();
  observed.clock_behind_s = certs::seconds_behind_floor();
  if (syslog_copy_) observed.syslog = &syslog_copy_->counts();
  observed.reloads = reloads_;
  observed.reloads_refused = reloads_refused_;
  return observed;
}

void Daemon::send(kms::SendEffect effect) { transport_->send(std::move(effect)); }

void Daemon::close(kms::CloseEffect effect) { transport_->close(std::move(effect)); }

void Daemon::close_all_sessions() { transport_->close_all(); }

void Daemon::note(kms::DriverNote note) { links_->hear(std::move(note)); }

void Daemon::link_full(const kms::LinkFull& link) { links_->fill(link); }

void Daemon::notice(const kms::Notice& notice) {
  metrics_.noticed(notice.kind);
  links_->noticed(notice);
  const auto left_out = notice_log_.admit(notice.kind, NoticeLog::Clock::now());
  if (!left_out) return;
  const std::string more = *left_out > 0 ? fmt::format(" (and {} more of these before)", *left_out) : "";
  spdlog::log(level_of(notice.kind), "{}: {}: {}{}", kms::name_of(notice.kind), notice.subject, notice.text, more);
}

void Daemon::state_changed(kms::Node::State state) {
  switch (state) {
    case kms::Node::State::kOpen:
      spdlog::warn("the store is open again");
      transport_->resume();
      links_->resume();
      return;
    case kms::Node::State::kClosed:
      spdlog::error("the store is closed: no key goes out until it can be written again: {}",
                    sealable_store_->trouble());
      transport_->pause();
      return;
    case kms::Node::State::kSealed:  // whoever did it says so
      transport_->pause();
      links_->pause();
      return;
    case kms::Node::State::kDead:
      break;
  }
  spdlog::critical("the outcome of a commit is unknown: the daemon ends, and a new start will find out: {}",
                   sealable_store_->trouble());
  dead_ = true;
  on_death_();
}

}  // namespace qkms::server
