#include "sim/operators.h"

#include <algorithm>

namespace qkms::sim {
namespace {

// As an operator would write it: what refers to a thing that is gone goes with it.
void erase(kms::Policy& policy, const SaeId& sae) { policy.homes.erase(sae); }
void erase(kms::Policy& policy, const LinkId& link) { policy.links.erase(link); }
void erase(kms::Policy& policy, const KmeId& peer) {
  std::erase_if(policy.links, [&](const auto& link) { return link.second.peer == peer; });
  std::erase_if(policy.homes, [&](const auto& sae_home) { return sae_home.second == peer; });
  policy.peers.erase(peer);
}

}  // namespace

Operators::Operators(Context& context, std::vector<std::unique_ptr<Site>>& sites, Network& network)
    : context_(context), sites_(sites), network_(network) {
  for (const auto& policy : context.topology.policies) offices_.push_back({*policy, {}});
}

void Operators::start() {
  for (std::size_t site = 0; site < offices_.size(); ++site) {
    if (context_.settings.reloads) schedule(site);
    if (context_.settings.seals) look_at_seal(site);
  }
}

// A site that is sealed, by its operator or since its start, is not left so for long.
void Operators::look_at_seal(std::size_t site) {
  context_.scheduler.after(context_.random.between(20, 1200), [this, site] {
    if (context_.healed) return;
    if (sites_[site]->sealed()) {
      sites_[site]->unseal();
    } else if (context_.random.chance(300)) {
      sites_[site]->seal();
    }
    look_at_seal(site);
  });
}

void Operators::schedule(std::size_t site) {
  context_.scheduler.after(context_.random.between(50, 3000), [this, site] {
    if (context_.healed) return;
    change_something(site);
    schedule(site);
  });
}

void Operators::change_something(std::size_t site) {
  const std::uint64_t what = context_.random.below(100);
  if (what < 25) return tweak(site);
  if (what < 50) return remove_sae(site);
  if (what < 80) return remove_peer(site);
  remove_link(site);
}

// Nothing that any SAE should notice for long.
void Operators::tweak(std::size_t site) {
  Prng& random = context_.random;
  kms::Policy& policy = offices_[site].policy;
  const std::size_t block = context_.settings.most_block_bytes;
  policy.keys.max_keys_per_request = static_cast<std::uint32_t>(random.between(8, 16));
  policy.timing.request_deadline_ms = random.between(150, 800);
  policy.timing.heartbeat_ms = random.between(200, 800);
  policy.timing.silence_ms = policy.timing.heartbeat_ms * random.between(3, 5);
  policy.capacity.max_requests_in_flight = random.chance(200) ? 2 : 4096;
  policy.capacity.max_outbox = random.chance(200) ? 3 : 16384;
  policy.foreign_key = random.chance(500) ? kms::ForeignKey::kNotFound : kms::ForeignKey::kUnauthorised;
  for (auto& [peer, terms] : policy.peers) terms.reservoir_capacity_bytes = block * (2 + random.below(19));
  for (auto& [link, terms] : policy.links) {
    terms.block_wait_ms = random.chance(500) ? random.between(500, 3000) : 60'000;
    terms.max_pending_bytes = block * (2 + random.below(19));
  }
  context_.counts.add(Count::kPolicyTweaked);
  put_in_force(site);
}

// Its own SAE, or one of another site; at times at all sites.
void Operators::remove_sae(std::size_t site) {
  Prng& random = context_.random;
  const SaeId sae = random.pick(context_.topology.saes);
  const bool everywhere = random.chance(300);
  for (std::size_t at = 0; at < offices_.size(); ++at) {
    if (at == site || everywhere) take_away_later(at == site ? 0 : random.between(0, 300), at, sae);
  }
}

void Operators::remove_peer(std::size_t site) {
  Prng& random = context_.random;
  std::vector<std::size_t> peers;
  for (std::size_t other = 0; other < offices_.size(); ++other) {
    if (other != site && context_.topology.linked(site, other)) peers.push_back(other);
  }
  if (peers.empty()) return;
  const std::size_t other = random.pick(peers);
  take_away_later(0, site, context_.topology.kmes[other]);
  if (random.chance(500)) take_away_later(random.between(0, 800), other, context_.topology.kmes[site]);
}

void Operators::remove_link(std::size_t site) {
  Prng& random = context_.random;
  const std::size_t link = random.below(context_.topology.links.size());
  const auto [a, b] = context_.topology.links[link];
  if (a != site && b != site) return;
  take_away_later(0, site, context_.topology.link_ids[link]);
  if (random.chance(500)) take_away_later(random.between(0, 800), a == site ? b : a, context_.topology.link_ids[link]);
}

// --- away and back -------------------------------------------------------------------------------

void Operators::take_away_later(Millis delay, std::size_t site, const Thing& thing) {
  context_.scheduler.after(delay, [this, site, thing] {
    if (context_.healed || !can_go(site, thing)) return;
    take_away(site, thing);
    const Millis pause = context_.random.between(20, context_.random.chance(500) ? 600 : 4000);
    context_.scheduler.after(pause, [this, site, thing] {
      if (!context_.healed) bring_back(site, thing);
    });
  });
}

// A link is there only with its peer; and it is not taken away from a site that is down, see engine_lost().
bool Operators::can_go(std::size_t site, const Thing& thing) const {
  const Office& office = offices_[site];
  if (office.away.contains(thing)) return false;
  const auto* link = std::get_if<LinkId>(&thing);
  if (link == nullptr) return true;
  return sites_[site]->running() && !office.away.contains(Thing(office.policy.links.at(*link).peer));
}

Absence Operators::absence_of(std::size_t site, const Thing& thing) const {
  Absence absence;
  absence.kme = context_.topology.kmes[site];
  absence.from = context_.scheduler.now();
  if (const auto* sae = std::get_if<SaeId>(&thing)) {
    absence.sae = *sae;
  } else if (const auto* peer = std::get_if<KmeId>(&thing)) {
    absence.kind = AbsenceKind::kPeer;
    absence.peer = *peer;
  } else {
    absence.kind = AbsenceKind::kLink;
    absence.peer = offices_[site].policy.links.at(std::get<LinkId>(thing)).peer;
  }
  return absence;
}

void Operators::take_away(std::size_t site, const Thing& thing) {
  constexpr std::array kCounts = {Count::kSaeAway, Count::kPeerAway, Count::kLinkAway};  // by Thing's alternatives
  context_.counts.add(kCounts[thing.index()]);
  if (const auto* peer = std::get_if<KmeId>(&thing)) {
    // Its links go with it, and will come back with it.
    for (const Thing& link : links_away(site)) {
      if (offices_[site].policy.links.at(std::get<LinkId>(link)).peer == *peer) end_absence(site, link);
    }
  }
  auto& absences = context_.history.absences;
  offices_[site].away.emplace(thing, absences.size());
  absences.push_back(absence_of(site, thing));
  std::visit([&](const auto& id) { context_.trace("site {} does without {}", site, id.str()); }, thing);
  put_in_force(site);
}

void Operators::bring_back(std::size_t site, const Thing& thing) {
  if (!offices_[site].away.contains(thing)) return;
  end_absence(site, thing);
  context_.counts.add(Count::kBackAgain);
  std::visit([&](const auto& id) { context_.trace("site {} has {} again", site, id.str()); }, thing);
  put_in_force(site);
}

void Operators::end_absence(std::size_t site, const Thing& thing) {
  const auto found = offices_[site].away.find(thing);
  context_.history.absences[found->second].to = context_.scheduler.now();
  offices_[site].away.erase(found);
}

std::vector<Operators::Thing> Operators::links_away(std::size_t site) const {
  std::vector<Thing> links;
  for (const auto& [thing, absence] : offices_[site].away) {
    if (std::holds_alternative<LinkId>(thing)) links.push_back(thing);
  }
  return links;
}

void Operators::put_in_force(std::size_t site) {
  auto policy = std::make_shared<kms::Policy>(offices_[site].policy);
  for (const auto& [thing, absence] : offices_[site].away)
    std::visit([&](const auto& id) { erase(*policy, id); }, thing);
  sites_[site]->replace_policy(std::move(policy));
  network_.policy_replaced(site);
}

// --- what the runs need --------------------------------------------------------------------------

void Operators::engine_lost(std::size_t site) {
  if (context_.healed) return;
  for (const Thing& link : links_away(site)) {
    const kms::Policy& policy = offices_[site].policy;
    if (policy.leads(policy.links.at(std::get<LinkId>(link)).peer)) bring_back(site, link);
  }
  if (context_.settings.reloads && context_.random.chance(250)) {
    context_.scheduler.after(context_.random.between(0, 300), [this, site] {
      if (!context_.healed) change_something(site);
    });
  }
}

void Operators::heal() {
  for (std::size_t site = 0; site < offices_.size(); ++site) {
    Office& office = offices_[site];
    for (const auto& [thing, absence] : office.away) context_.history.absences[absence].to = context_.scheduler.now();
    office.policy = *context_.topology.policies[site];
    office.policy.allowances.clear();
    office.policy.pair_terms.clear();
    if (context_.settings.reloads || context_.settings.limits) {
      office.away.clear();
      put_in_force(site);
    }
  }
  context_.history.limits_until = context_.scheduler.now();
}

}  // namespace qkms::sim
