#include "server/config_check.h"

#include <fmt/format.h>

#include <iterator>

#include "api/peer/message.h"

namespace qkms::server {

std::string Problems::text(std::string_view name) const {
  std::string out;
  std::size_t count = 0;
  for (const auto& [line, problem] : found_) {
    if (count++ == kShown) break;
    out += fmt::format("{}{}:{}: {}", out.empty() ? "" : "\n", name, line, problem);
  }
  if (found_.size() > kShown) out += fmt::format("\n{}: and {} more", name, found_.size() - kShown);
  return out;
}

namespace {

class Checker {
 public:
  Checker(Draft draft, const Lines& lines, Problems& problems)
      : draft_(std::move(draft)), config_(draft_.config), lines_(lines), problems_(problems) {}

  Config run() {
    check_keys();
    check_timing();
    check_answers();
    check_ports();
    config_.policy.self = config_.id;
    add_peers();
    add_links();
    add_saes();
    add_allowed();
    add_extensions();
    check_reserves();
    return std::move(config_);
  }

 private:
  // The line of the option, else of its section, else the first one.
  int line_of(const std::string& path) const {
    if (const auto found = lines_.find(path); found != lines_.end()) return found->second;
    const auto section = lines_.find(path.substr(0, path.rfind('.')));
    return section != lines_.end() ? section->second : 1;
  }

  void refuse(const std::string& path, std::string_view what) {
    std::string shown = path;  // without the index, which the line makes needless
    if (const auto open = shown.find('['); open != std::string::npos) shown.erase(open, shown.find(']') - open + 1);
    problems_.add(line_of(path), fmt::format("option '{}' {}", shown, what));
  }

  void check_keys() {
    const auto& keys = config_.policy.keys;
    if (keys.min_key_bits > keys.max_key_bits) {
      refuse("keys.min_size_bits", fmt::format("is {}; accepted: at most keys.max_size_bits, which is {}",
                                               keys.min_key_bits, keys.max_key_bits));
    } else if (keys.default_key_bits < keys.min_key_bits || keys.default_key_bits > keys.max_key_bits) {
      refuse("keys.default_size_bits",
             fmt::format("is {}; accepted: {} to {} bits (keys.min_size_bits to keys.max_size_bits), a multiple of 8",
                         keys.default_key_bits, keys.min_key_bits, keys.max_key_bits));
    }
    const std::uint64_t request_bytes = std::uint64_t{keys.max_keys_per_request} * keys.max_key_bits / 8;
    if (request_bytes > api::kMaxUnderPadBytes) {
      refuse("keys.max_per_request",
             fmt::format("is {}, which with keys.max_size_bits makes requests of {} bytes; accepted: at most {}",
                         keys.max_keys_per_request, request_bytes, api::kMaxUnderPadBytes));
    }
  }

  void check_timing() {
    const auto& timing = config_.policy.timing;
    if (timing.silence_ms < 2 * timing.heartbeat_ms) {
      refuse("timing.silence_ms", fmt::format("is {}; accepted: at least {}, twice timing.heartbeat_ms",
                                              timing.silence_ms, 2 * timing.heartbeat_ms));
    }
  }

  // An answer may be under way for so long; the deadline for taking it starts when the request is there.
  void check_answers() {
    constexpr std::uint32_t kHeldBackMs = 1500;  // refusals of key IDs wait up to a second and a tick
    const auto least = static_cast<std::uint32_t>(config_.policy.timing.request_deadline_ms) + kHeldBackMs;
    if (config_.limits.write_ms >= least) return;
    refuse("limits.write_ms", fmt::format("is {}; accepted: at least {}, timing.request_deadline_ms and {} more",
                                          config_.limits.write_ms, least, kHeldBackMs));
  }

  void check_ports() {
    const std::pair<const char*, const ListenerConfig*> listeners[] = {
        {"sae", &config_.sae}, {"peer", &config_.peer}, {"operator", &config_.operators}};
    const auto is_wildcard = [](const std::string& address) { return address == "0.0.0.0" || address == "::"; };
    for (std::size_t i = 1; i < std::size(listeners); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        const auto& [name, here] = listeners[i];
        const auto& [other_name, other] = listeners[j];
        if (here->port == 0 || here->port != other->port) continue;
        if (here->address != other->address && !is_wildcard(here->address) && !is_wildcard(other->address)) continue;
        refuse(fmt::format("{}.listen", name),
               fmt::format("takes the address and port of '{}.listen'; accepted: another port", other_name));
      }
    }
  }

  void add_peers() {
    for (std::size_t i = 0; i < draft_.peers.size(); ++i) {
      const auto& [peer, policy] = draft_.peers[i];
      const std::string at = fmt::format("peers[{}]", i);
      if (peer.id.empty()) continue;  // reported already
      if (peer.id == config_.id) {
        refuse(at + ".id", fmt::format("is \"{}\", which is this KME; accepted: another KME's ID", peer.id.str()));
      } else if (!config_.policy.peers.emplace(peer.id, policy).second) {
        refuse(at + ".id", fmt::format("is \"{}\" for the second time; accepted: each peer once", peer.id.str()));
      } else if (config_.id < peer.id && !peer.address) {
        refuse(at + ".address",
               fmt::format("is missing; \"{}\" sorts before \"{}\", so this KME connects and must know where",
                           config_.id.str(), peer.id.str()));
      }
      config_.peers.push_back(peer);
    }
  }

  void add_links() {
    for (std::size_t i = 0; i < draft_.links.size(); ++i) {
      auto& [link, policy] = draft_.links[i];
      const std::string at = fmt::format("links[{}]", i);
      if (link.id.empty() || link.peer.empty()) continue;
      policy.peer = link.peer;
      link.etsi014.end = link.etsi014_leads.value_or(config_.id < link.peer ? drivers::Etsi014End::kLeads
                                                                            : drivers::Etsi014End::kFollows);
      link.etsi004.end = config_.id < link.peer ? drivers::StreamEnd::kOpens : drivers::StreamEnd::kJoins;
      if (!config_.policy.peers.contains(link.peer)) {
        refuse(at + ".peer", fmt::format("is \"{}\"; accepted: {}", link.peer.str(), peer_names()));
      }
      if (!config_.policy.links.emplace(link.id, policy).second) {
        refuse(at + ".id", fmt::format("is \"{}\" for the second time; accepted: each link once", link.id.str()));
      }
      check_physics(at, link);
      config_.links.push_back(std::move(link));
    }
  }

  void check_physics(const std::string& at, const LinkConfig& link) {
    const auto problem = drivers::problem_of(link.simulated.physics);
    if (!problem) return;
    problems_.add(line_of(at + ".driver"),
                  fmt::format("option 'links.simulated.{}' {}", problem->setting, problem->sentence));
  }

  void add_saes() {
    for (std::size_t i = 0; i < draft_.saes.size(); ++i) {
      const auto& sae = draft_.saes[i];
      const std::string at = fmt::format("saes[{}]", i);
      if (sae.id.empty() || sae.kme.empty()) continue;
      if (sae.kme != config_.id && !config_.policy.peers.contains(sae.kme)) {
        refuse(at + ".kme",
               fmt::format("is \"{}\"; accepted: {} (this KME), {}", sae.kme.str(), config_.id.str(), peer_names()));
      }
      if (!config_.policy.homes.emplace(sae.id, sae.kme).second) {
        refuse(at + ".id", fmt::format("is \"{}\" for the second time; accepted: each SAE once", sae.id.str()));
      }
      if (sae.kme == config_.id && sae.allowance != kms::Allowance())
        config_.policy.allowances.emplace(sae.id, sae.allowance);
      if (sae.fingerprint.empty()) continue;
      if (sae.kme != config_.id) {  // it would never be looked at: somebody misunderstood
        refuse(at + ".fingerprint",
               fmt::format("is given for an SAE of {}; accepted: for SAEs of this KME", sae.kme.str()));
      } else if (!config_.sae_fingerprints.emplace(sae.fingerprint, sae.id).second) {
        refuse(at + ".fingerprint", "is another SAE's already; accepted: a certificate of its own");
      }
    }
  }

  void add_allowed() {
    for (std::size_t i = 0; i < draft_.allows.size(); ++i) {
      const auto& [master, slaves, terms] = draft_.allows[i];
      const std::string at = fmt::format("allow[{}]", i);
      if (master.empty()) continue;
      require_known_sae(at + ".master", master);
      if (slaves.empty() && lines_.contains(at + ".slaves"))
        refuse(at + ".slaves", "is empty; accepted: at least one SAE");
      for (const auto& name : slaves) {
        const auto slave = SaeId::parse(name);
        if (!slave) continue;
        require_known_sae(at + ".slaves", *slave);
        if (*slave == master) refuse(at + ".slaves", fmt::format("has \"{}\", which is the master itself", name));
        config_.policy.allowed.emplace(master, *slave);
        add_terms(at, {master, *slave}, terms);
      }
    }
  }

  void add_terms(const std::string& at, const std::pair<SaeId, SaeId>& pair, const kms::PairTerms& terms) {
    if (terms.allowance == kms::Allowance() && terms.reserve_bytes == 0) return;
    if (!config_.policy.pair_terms.emplace(pair, terms).second)
      refuse(at + ".quota", fmt::format("is given for \"{}\" with \"{}\" a second time; accepted: once for a pair",
                                        pair.first.str(), pair.second.str()));
  }

  // Reserves that fill a reservoir leave nothing to anybody else, and those beyond it are never there.
  void check_reserves() {
    std::map<KmeId, std::uint64_t> sums;
    for (const auto& [pair, terms] : config_.policy.pair_terms) {
      const KmeId* master_home = config_.policy.home_of(pair.first);
      const KmeId* slave_home = config_.policy.home_of(pair.second);
      if (master_home != nullptr && slave_home != nullptr && *master_home == config_.id)
        sums[*slave_home] += terms.reserve_bytes;
    }
    for (std::size_t i = 0; i < config_.peers.size(); ++i) {
      const auto peer = config_.policy.peers.find(config_.peers[i].id);
      if (peer == config_.policy.peers.end() || sums[peer->first] <= peer->second.reservoir_capacity_bytes / 2)
        continue;
      refuse(fmt::format("peers[{}].reservoir_capacity_bytes", i),
             fmt::format("is {}, about half of which is ours; accepted: at least twice the reserves towards \"{}\", "
                         "which are {} bytes",
                         peer->second.reservoir_capacity_bytes, peer->first.str(), sums[peer->first]));
    }
  }

  void add_extensions() {
    for (std::size_t i = 0; i < draft_.extensions.size(); ++i) {
      const auto& [name, meaning] = draft_.extensions[i];
      if (name.empty() || config_.extensions.emplace(name, meaning).second) continue;
      refuse(fmt::format("extensions[{}].name", i), fmt::format("is \"{}\", which has a meaning already", name));
    }
  }

  void require_known_sae(const std::string& path, const SaeId& sae) {
    if (config_.policy.homes.contains(sae)) return;
    refuse(path, fmt::format("names \"{}\"; accepted: an id of [[saes]]", sae.str()));
  }

  std::string peer_names() const {
    std::string out;
    for (const auto& [id, policy] : config_.policy.peers) {
      if (out.size() > 200) return out + ", ...";
      out += (out.empty() ? "" : ", ") + id.str();
    }
    return out.empty() ? "an id of [[peers]], of which there are none" : out;
  }

  Draft draft_;
  Config config_;
  const Lines& lines_;
  Problems& problems_;
};

}  // namespace

Config finish(Draft draft, const Lines& lines, Problems& problems) {
  return Checker(std::move(draft), lines, problems).run();
}

}  // namespace qkms::server
