#include "sim/settings.h"

#include <fmt/format.h>

#include <algorithm>

namespace qkms::sim {
namespace {

// One run in six is without faults: what fails there fails for everyone.
FaultRates draw_faults(bool hostile_frames, Prng& random) {
  FaultRates rates;
  const std::uint64_t weather = random.below(6);
  if (weather == 0) return rates;
  const auto up_to = [&](unsigned most) {
    return random.chance(350) ? 0 : static_cast<unsigned>(random.below(most + 1));
  };
  const unsigned storm = weather == 5 ? 3 : 1;
  rates.crash_before = up_to(4 * storm);
  rates.crash_after = up_to(6 * storm);
  rates.commit_failed = up_to(4 * storm);
  rates.commit_unknown = up_to(4 * storm);
  rates.session_broken = up_to(15 * storm);
  rates.half_open = up_to(400);
  rates.block_lost = up_to(80 * storm);
  rates.block_delayed = up_to(250);
  rates.block_corrupted = up_to(60 * storm);
  rates.block_repeated = up_to(100);
  rates.reply_lost = up_to(30);
  rates.partition = up_to(100 * storm);
  rates.slow_period = up_to(100);
  if (random.chance(150)) rates.row_damaged = up_to(40);
  if (random.chance(400)) rates.put_back = 150 + up_to(500);
  if (hostile_frames) {
    rates.frame_duplicated = up_to(30);
    rates.frame_reordered = up_to(30);
  }
  return rates;
}

kms::Policy draw_limits(const Settings& settings, Prng& random) {
  kms::Policy policy;
  policy.keys.max_keys_per_request = 16;
  policy.keys.max_additional_slaves = 4;
  policy.keys.key_life_ms = random.chance(300) ? random.between(800, 4000) : 24 * 3600 * 1000;
  policy.timing.request_deadline_ms = random.between(150, 800);
  policy.timing.heartbeat_ms = random.between(200, 800);
  policy.timing.silence_ms = policy.timing.heartbeat_ms * random.between(3, 5);
  // Where stores are put back, the promise holds for those who wait for all that their peers have to say.
  policy.timing.reconcile_ms = settings.faults.put_back > 0 ? 3'600'000 : random.between(0, 4000);
  policy.timing.compare_ms = random.between(100, 2000);
  if (random.chance(200)) policy.capacity.max_requests_in_flight = 2;
  if (random.chance(200)) policy.capacity.max_outbox = 3;
  if (settings.faults.row_damaged > 0 || random.chance(350))
    policy.capacity.cached_extent_bytes = random.below(2) * settings.most_block_bytes;
  return policy;
}

void add_links(const Settings& settings, Topology& topology, Prng& random) {
  const std::size_t sites = settings.sites;
  const std::uint64_t shape = random.below(3);  // chain, ring, mesh
  for (std::size_t a = 0; a < sites; ++a) {
    for (std::size_t b = a + 1; b < sites; ++b) {
      const bool neighbours = b == a + 1 || (shape == 1 && a == 0 && b == sites - 1);
      if (!neighbours && shape != 2) continue;
      const std::size_t parallel = random.chance(100) ? 2 : 1;
      for (std::size_t i = 0; i < parallel; ++i) {
        topology.links.emplace_back(a, b);
        topology.link_ids.push_back(*LinkId::parse(fmt::format("link-{}", topology.links.size())));
      }
    }
  }
}

void add_saes(const Settings& settings, Topology& topology) {
  for (std::size_t site = 0; site < settings.sites; ++site) {
    topology.kmes.push_back(*KmeId::parse(fmt::format("KME-{}", static_cast<char>('A' + site))));
    for (std::size_t i = 0; i < settings.saes_per_site; ++i) {
      topology.saes.push_back(*SaeId::parse(fmt::format("sae-{}{}", static_cast<char>('a' + site), i + 1)));
      topology.home_of.push_back(site);
    }
  }
}

std::set<std::pair<SaeId, SaeId>> draw_allowed(const Topology& topology, Prng& random) {
  std::set<std::pair<SaeId, SaeId>> allowed;
  for (const SaeId& master : topology.saes) {
    for (const SaeId& slave : topology.saes) {
      if (master != slave && random.chance(880)) allowed.emplace(master, slave);
    }
  }
  return allowed;
}

// Low enough that a few seconds of asking reach them.
kms::Allowance draw_allowance(Prng& random) {
  kms::Allowance allowance;
  const auto sometimes = [&](Millis low, Millis high) {
    return random.chance(300) ? static_cast<std::uint64_t>(random.between(low, high)) : 0;
  };
  allowance.requests_per_s = sometimes(1, 4);
  allowance.keys_per_s = sometimes(1, 2);
  allowance.bits_per_s = sometimes(100, 800);
  allowance.keys_per_day = sometimes(5, 40);
  allowance.bits_per_day = sometimes(2000, 20'000);
  return allowance;
}

void add_allowances(std::size_t site, const Topology& topology, kms::Policy& policy, Prng& random) {
  for (std::size_t master = 0; master < topology.saes.size(); ++master) {
    if (topology.home_of[master] != site) continue;
    if (random.chance(300)) policy.allowances[topology.saes[master]] = draw_allowance(random);
    for (std::size_t slave = 0; slave < topology.saes.size(); ++slave) {
      const std::pair pair(topology.saes[master], topology.saes[slave]);
      if (!policy.allowed.contains(pair)) continue;
      if (random.chance(150)) policy.pair_terms[pair].allowance = draw_allowance(random);
      if (random.chance(150) && topology.linked(site, topology.home_of[slave]))
        policy.pair_terms[pair].reserve_bytes = 100 + random.below(600);
    }
  }
}

kms::Policy policy_of(std::size_t site, const Topology& topology, kms::Policy policy, kms::PeerPolicy peer_policy,
                      kms::LinkPolicy link_policy) {
  policy.self = topology.kmes[site];
  for (std::size_t i = 0; i < topology.links.size(); ++i) {
    const auto [a, b] = topology.links[i];
    if (a != site && b != site) continue;
    link_policy.peer = topology.kmes[a == site ? b : a];
    policy.peers.insert_or_assign(link_policy.peer, peer_policy);
    policy.links.emplace(topology.link_ids[i], link_policy);
  }
  return policy;
}

}  // namespace

bool Topology::linked(std::size_t a, std::size_t b) const {
  return std::ranges::count(links, std::pair(std::min(a, b), std::max(a, b))) > 0;
}

bool Topology::allowed(std::size_t master, std::size_t slave) const {
  return policies[home_of[master]]->allows(saes[master], saes[slave]) &&
         policies[home_of[slave]]->allows(saes[master], saes[slave]);
}

Settings draw_settings(std::uint64_t seed, Prng& random) {
  Settings settings;
  settings.seed = seed;
  const std::uint64_t size = random.below(10);  // mostly two or three sites: more of them dilute what happens to each
  settings.sites = size < 5 ? 2 : size < 8 ? 3 : size < 9 ? 4 : 5;
  settings.saes_per_site = 1 + random.below(settings.sites > 3 ? 2 : 3);
  settings.run_ms = random.between(4000, 12'000);
  settings.tick_ms = random.between(50, 250);
  settings.batching_ms = random.between(0, 30);
  settings.latency_ms = random.between(1, 60);
  settings.block_every_ms = random.between(150, 700);
  if (random.chance(80)) {
    settings.least_block_bytes = 8000;
    settings.most_block_bytes = 40'000;
    settings.block_every_ms *= 4;
  }
  settings.request_every_ms = random.between(60, 250);
  settings.most_keys = static_cast<std::uint32_t>(random.between(1, 8));
  settings.encode_frames = random.chance(250) ? 1000 : 0;
  settings.hostile_frames = random.chance(150);
  settings.clocks_stop = random.chance(250);
  settings.policies_differ = !settings.hostile_frames && random.chance(250);
  settings.reloads = !settings.hostile_frames && random.chance(500);  // refusals must not be overtaken
  settings.seals = random.chance(300);
  settings.conditions = random.chance(300);
  settings.limits = random.chance(400);
  if (settings.limits && random.chance(500)) settings.request_every_ms /= 3;  // greedy enough to feel them
  settings.faults = draw_faults(settings.hostile_frames, random);
  return settings;
}

Topology draw_topology(const Settings& settings, Prng& random) {
  Topology topology;
  add_saes(settings, topology);
  add_links(settings, topology, random);
  kms::Policy common = draw_limits(settings, random);
  common.allowed = draw_allowed(topology, random);
  for (std::size_t i = 0; i < topology.saes.size(); ++i)
    common.homes.emplace(topology.saes[i], topology.kmes[topology.home_of[i]]);
  kms::PeerPolicy peer_policy;
  peer_policy.reservoir_capacity_bytes = settings.most_block_bytes * static_cast<std::size_t>(random.between(2, 20));
  kms::LinkPolicy link_policy;
  link_policy.block_wait_ms = random.chance(500) ? random.between(500, 3000) : 60'000;
  link_policy.max_pending_bytes = settings.most_block_bytes * static_cast<std::size_t>(random.between(2, 20));
  for (std::size_t site = 0; site < settings.sites; ++site) {
    auto policy = std::make_shared<kms::Policy>(policy_of(site, topology, common, peer_policy, link_policy));
    if (settings.limits) add_allowances(site, topology, *policy, random);
    if (settings.policies_differ) std::erase_if(policy->allowed, [&](const auto&) { return random.chance(100); });
    topology.policies.push_back(std::move(policy));
  }
  return topology;
}

}  // namespace qkms::sim
