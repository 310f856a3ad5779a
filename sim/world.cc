#include "sim/world.h"

#include <algorithm>

namespace qkms::sim {
namespace {

constexpr Millis kSettleMs = 60'000;
constexpr Millis kLongestWaitMs = 10'000;  // for keys to expire
constexpr Millis kExpiryMs = 3000;         // and for KMEs to see to it
constexpr Millis kProbeMs = 20'000;
// A damaged extent at the slave's KME costs one refused request for each key in it.
constexpr Millis kProbeWithDamageMs = 200'000;

// Bits of our own part of a reservoir may have gone in another way than to SAEs, or nothing is known of reserves.
bool is_setback(kms::NoticeKind kind) {
  using enum kms::NoticeKind;
  return kind == kExtentsGiven || kind == kAssignRefused || kind == kUnreadableRow || kind == kPairReset ||
         kind == kPairMet || kind == kPolicyReplaced || kind == kStoreRolledBack;
}

Limits limits_of(const kms::Allowance& allowance) {
  return {allowance.requests_per_s, allowance.keys_per_s, allowance.bits_per_s, allowance.keys_per_day,
          allowance.bits_per_day};
}

bool is_alarm(kms::NoticeKind kind, const Settings& settings) {
  using enum kms::NoticeKind;
  return (kind == kUnreadableRow && settings.faults.row_damaged == 0) ||
         (kind == kProtocolError && !settings.hostile_frames);
}

}  // namespace

World::World(std::uint64_t seed, Tracing tracing)
    : context_(seed, tracing),
      wire_(context_),
      network_(context_, sites_, wire_),
      devices_(context_, sites_),
      clients_(context_, sites_, wire_),
      operators_(context_, sites_, network_) {
  const Topology& topology = context_.topology;
  History& history = context_.history;
  for (std::size_t sae = 0; sae < topology.saes.size(); ++sae) {
    history.homes.emplace(topology.saes[sae], topology.kmes[topology.home_of[sae]]);
    for (std::size_t slave = 0; slave < topology.saes.size(); ++slave) {
      if (topology.allowed(sae, slave)) history.allowed.emplace(topology.saes[sae], topology.saes[slave]);
    }
  }
  history.key_life = topology.policies.front()->keys.key_life_ms;
  history.expiry_exact = !context_.settings.clocks_stop;
  write_terms();
  SiteListener& listener = *this;
  for (std::size_t site = 0; site < topology.kmes.size(); ++site)
    sites_.push_back(std::make_unique<Site>(context_, site, listener));
  reports_.resize(sites_.size());
}

void World::write_terms() {
  History& history = context_.history;
  const Topology& topology = context_.topology;
  for (const auto& [a, b] : topology.links) {
    history.linked.emplace(topology.kmes[a], topology.kmes[b]);
    history.linked.emplace(topology.kmes[b], topology.kmes[a]);
  }
  for (const auto& policy : topology.policies) {
    for (const auto& [sae, allowance] : policy->allowances) history.sae_limits.emplace(sae, limits_of(allowance));
    for (const auto& [pair, terms] : policy->pair_terms) {
      history.pair_limits.emplace(pair, limits_of(terms.allowance));
      if (terms.reserve_bytes > 0) history.floors.emplace(pair, terms.reserve_bytes);
    }
  }
}

void World::run() {
  for (auto& site : sites_) site->start();
  network_.start();
  devices_.start();
  clients_.start();
  operators_.start();
  watch_levels();
  context_.scheduler.run_until(context_.settings.run_ms);
  clients_.stop();
  heal();
  if (!settle(kSettleMs)) return write_accounts();
  context_.history.quiet_since = context_.scheduler.now();
  clients_.fetch_the_rest();
  wait_for_clients(kProbeMs);
  const Millis patience = context_.settings.faults.row_damaged > 0 ? kProbeWithDamageMs : kProbeMs;
  clients_.probe(patience);
  wait_for_clients(patience + kProbeMs);
  devices_.stop();
  context_.scheduler.run_until(context_.scheduler.now() + 100);
  wait_for_expiry();
  if (!settle(kSettleMs)) context_.history.quiet_since.reset();
  write_accounts();
}

void World::heal() {
  context_.trace("all faults end");
  context_.healed = true;
  network_.heal();
  operators_.heal();
  for (auto& site : sites_) site->heal();
}

bool World::settle(Millis patience) {
  const Millis until = context_.scheduler.now() + patience;
  while (context_.scheduler.now() < until) {
    context_.scheduler.run_until(context_.scheduler.now() + 500);
    take_reports();
    if (at_rest()) return true;
  }
  return false;
}

void World::wait_for_clients(Millis patience) {
  const Millis until = context_.scheduler.now() + patience;
  while (!clients_.idle() && context_.scheduler.now() < until)
    context_.scheduler.run_until(context_.scheduler.now() + 100);
}

void World::wait_for_expiry() {
  History& history = context_.history;
  if (history.key_life > kLongestWaitMs || !history.expiry_exact) return;
  context_.scheduler.run_until(context_.scheduler.now() + history.key_life + kExpiryMs);
  history.all_expired = true;
}

void World::take_reports() {
  for (auto& report : reports_) report = {};
  for (auto& site : sites_) site->post(kms::ReportRequest{});
  context_.scheduler.run_until(context_.scheduler.now() + context_.settings.batching_ms + 1);
}

// Devices may still be at work, and what they bring is under way between the ends; so a busy outbox is not judged
// before they stop.
bool World::at_rest() {
  return std::ranges::all_of(reports_, [&](const kms::Report& report) {
    return report.requests_in_flight == 0 && report.time != 0 &&
           std::ranges::all_of(report.reservoirs, [&](const kms::ReservoirReport& reservoir) {
             return reservoir.session_up && reservoir.outbox == 0;
           });
  });
}

namespace {

void add_audit(const std::vector<api::AuditRecord>& log, Account& account) {
  account.burned_in_audit = 0;
  for (const api::AuditRecord& record : log) {
    if (record.action != api::AuditAction::kBurn || record.subject != account.peer.str()) continue;
    *account.burned_in_audit += record.bits;
    account.burns_without_reason += record.reason.empty() ? 1 : 0;
  }
}

}  // namespace

void World::write_accounts() {
  for (std::size_t site = 0; site < sites_.size(); ++site) {
    for (const kms::ReservoirReport& report : reports_[site].reservoirs) {
      const kms::Ledger& l = report.ledger;
      context_.history.accounts.push_back({context_.topology.kmes[site],
                                           report.peer,
                                           report.session_up,
                                           l.in,
                                           l.macs,
                                           l.quarantined,
                                           report.available_own_bits,
                                           report.available_peer_bits,
                                           l.in_flight,
                                           l.held,
                                           l.delivered,
                                           l.pads,
                                           l.burned,
                                           l.expired,
                                           report.outbox,
                                           {}});
      context_.counts.add(Count::kAccountsCompared, report.comparisons);
      add_audit(sites_[site]->disk().audit_log(), context_.history.accounts.back());
    }
  }
}

// --- what sites do -------------------------------------------------------------------------------

void World::heed(std::size_t site, const kms::Notice& notice) {
  const KmeId& self = context_.topology.kmes[site];
  const Millis now = context_.scheduler.now();
  context_.trace("{}: {} {}: {}", self.str(), kms::name_of(notice.kind), notice.subject, notice.text);
  context_.counts.notices[static_cast<std::size_t>(notice.kind)]++;
  if (is_alarm(notice.kind, context_.settings)) context_.history.alarms.push_back({now, self, notice.text});
  if (notice.kind == kms::NoticeKind::kLinkDivergence) context_.history.divergences.push_back({now, self, notice.text});
  if (notice.kind == kms::NoticeKind::kPairReset || notice.kind == kms::NoticeKind::kPairMet) {
    const KmeId peer = *KmeId::parse(notice.subject);
    wire_.pair_reset(self, peer);
    context_.history.pair_events.push_back({PairEventKind::kReset, now, self, peer});
  } else if (notice.kind == kms::NoticeKind::kPairResumed) {
    context_.history.pair_events.push_back({PairEventKind::kAgreed, now, self, *KmeId::parse(notice.subject)});
  }
}

void World::released(std::size_t site, kms::Effects effects, Doubt doubt) {
  const bool setback_here =
      std::ranges::any_of(effects.notices, [](const kms::Notice& notice) { return is_setback(notice.kind); });
  if (setback_here) setback(site);
  for (const kms::Notice& notice : effects.notices) heed(site, notice);
  for (const kms::SendEffect& send : effects.sends) network_.send(site, send);
  for (const kms::CloseEffect& close : effects.closes) network_.close(site, close.session);
  for (kms::ReplyEffect& reply : effects.replies) clients_.answered(site, std::move(reply), doubt);
  for (kms::ReportEffect& report : effects.reports) {
    if (!setback_here) note_levels(site, report.report);
    reports_[site] = std::move(report.report);
  }
}

void World::sessions_lost(std::size_t site) {
  network_.close_all(site);
  setback(site);
  operators_.engine_lost(site);
}

void World::crashed(std::size_t site) {
  network_.close_all(site);
  clients_.site_crashed(site);
  setback(site);
  operators_.engine_lost(site);
}

bool World::would_hear_of_it(std::size_t site) const {
  const kms::NodeRow& copied = sites_[site]->disk().copied_node();
  return std::ranges::any_of(sites_, [&](const auto& other) {
    const auto& peers = other->disk().peers();
    const auto row = peers.find(context_.topology.kmes[site]);
    if (row == peers.end()) return false;
    const api::Mark& heard = row->second.heard;
    return heard.ordinal > copied.ordinal || (heard.ordinal == copied.ordinal && heard.progress > copied.progress);
  });
}

// --- reserves ------------------------------------------------------------------------------------

void World::watch_levels() {
  if (context_.history.floors.empty()) return;
  context_.scheduler.after(context_.random.between(100, 400), [this] {
    if (context_.healed) return;
    for (auto& site : sites_) site->post(kms::ReportRequest{});
    watch_levels();
  });
}

void World::note_levels(std::size_t site, const kms::Report& report) {
  History& history = context_.history;
  if (history.floors.empty() || context_.healed) return;
  context_.counts.add(Count::kLevelsSeen);
  for (const kms::ReservoirReport& reservoir : report.reservoirs) {
    history.levels.push_back({history.calls.size(), context_.scheduler.now(), context_.topology.kmes[site],
                              reservoir.peer, reservoir.available_own_bits / 8});
  }
}

void World::setback(std::size_t site) {
  History& history = context_.history;
  if (history.floors.empty()) return;
  history.levels.push_back(
      {history.calls.size(), context_.scheduler.now(), context_.topology.kmes[site], {}, std::nullopt});
}

}  // namespace qkms::sim
