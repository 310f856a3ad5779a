#include "sim/network.h"

#include "api/peer/bounds.h"
#include "api/peer/codec.h"

namespace qkms::sim {

Network::Network(Context& context, std::vector<std::unique_ptr<Site>>& sites, Wire& wire)
    : context_(context), sites_(sites), wire_(wire) {
  std::set<std::pair<std::size_t, std::size_t>> linked(context.topology.links.begin(), context.topology.links.end());
  for (const auto& [a, b] : linked) pairs_.push_back({{a, b}});
}

void Network::start() {
  for (std::size_t pair = 0; pair < pairs_.size(); ++pair) {
    dial_later(pair);
    bad_weather(pair);
  }
}

// --- sessions come -------------------------------------------------------------------------------

void Network::dial_later(std::size_t pair) {
  context_.scheduler.after(context_.random.between(50, 400), [this, pair] {
    dial(pair);
    dial_later(pair);
  });
}

// Either end dials when it has no session; an end that still believes in the old one gets a second.
void Network::dial(std::size_t number) {
  Pair& pair = pairs_[number];
  const Millis now = context_.scheduler.now();
  const auto current = sessions_.find(pair.session);
  if (current != sessions_.end() && current->second.open[0] && current->second.open[1]) return;
  if (!sites_[pair.sites[0]]->up() || !sites_[pair.sites[1]]->up()) return;
  if (!peers(pair)) return;
  if (pair.blocked_until[0] > now || pair.blocked_until[1] > now) return;
  if (current != sessions_.end()) current->second.broken = true;
  const kms::SessionId id = next_session_++;
  pair.session = id;
  context_.counts.add(Count::kSessions);
  context_.trace("session {} between {} and {}", id, kme(pair.sites[0]).str(), kme(pair.sites[1]).str());
  Session session;
  session.pair = number;
  for (std::size_t end = 0; end < 2; ++end) {
    const Millis at = now + context_.random.between(0, context_.settings.latency_ms);
    session.last_arrival[1 - end] = at;  // nothing arrives before the end knows of the session
    context_.scheduler.at(at, [this, id, end, site = pair.sites[end], peer = kme(pair.sites[1 - end])] {
      const auto found = sessions_.find(id);
      if (found != sessions_.end() && found->second.open[end]) sites_[site]->post(kms::PeerUp{peer, id});
    });
  }
  sessions_.emplace(id, session);
}

// --- frames --------------------------------------------------------------------------------------

Millis Network::arrival_time(const Pair& pair, const Session& session, std::size_t end) {
  const Millis now = context_.scheduler.now();
  Millis latency = context_.random.between(1, context_.settings.latency_ms);
  if (pair.slow_until > now) latency += context_.random.between(0, 600);
  return std::max({now + latency, pair.blocked_until[end], session.last_arrival[end]});
}

api::Frame Network::over_codec(std::size_t site, api::Frame frame) {
  const auto alarm = [&](const std::string& text) {
    context_.history.alarms.push_back({context_.scheduler.now(), kme(site), text});
  };
  if (const auto bounded = api::check_bounds(frame); !bounded) {
    alarm("it sends a frame that breaks a bound: " + bounded.error().text);
    return frame;
  }
  context_.counts.add(Count::kFrameEncoded);
  const std::string bytes = api::encode(frame);
  auto decoded = api::decode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  if (!decoded || *decoded != frame) {
    alarm("a frame does not survive the codec");
    return frame;
  }
  return std::move(*decoded);
}

void Network::send(std::size_t site, const kms::SendEffect& effect) {
  const auto found = sessions_.find(effect.session);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  Pair& pair = pairs_[session.pair];
  const std::size_t end = end_of(pair, site);
  if (!session.open[end]) return;
  wire_.see(kme(site), effect.peer, effect.frame);
  const FaultRates& faults = context_.settings.faults;
  if (session.broken) return context_.counts.add(Count::kFramesLost);
  api::Frame frame =
      context_.random.chance(context_.settings.encode_frames) ? over_codec(site, effect.frame) : effect.frame;
  const Millis arrival = arrival_time(pair, session, end);
  if (context_.strikes(faults.frame_duplicated, Count::kFrameDuplicated)) carry(effect.session, end, frame, arrival);
  if (context_.strikes(faults.frame_reordered, Count::kFrameReordered)) {
    carry(effect.session, end, std::move(frame), arrival + context_.random.between(1, 200));
  } else {
    session.last_arrival[end] = arrival;
    carry(effect.session, end, std::move(frame), arrival);
  }
  if (context_.strikes(faults.session_broken, Count::kSessionBroken)) break_session(effect.session);
}

void Network::carry(kms::SessionId id, std::size_t end, api::Frame frame, Millis arrival) {
  context_.scheduler.at(arrival, [this, id, end, frame = std::move(frame)]() mutable {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return;
    const Pair& pair = pairs_[found->second.pair];
    if (found->second.cut[end] || !found->second.open[1 - end]) return context_.counts.add(Count::kFramesLost);
    sites_[pair.sites[1 - end]]->post(kms::PeerFrame{kme(pair.sites[end]), id, std::move(frame)});
  });
}

// --- sessions go ---------------------------------------------------------------------------------

void Network::break_session(kms::SessionId id) {
  Session& session = sessions_.at(id);
  context_.trace("session {} breaks", id);
  session.broken = true;
  for (std::size_t end = 0; end < 2; ++end) {
    session.cut[end] = context_.random.chance(500);
    tell_down(id, end);
  }
}

// The end hears of it after a while, or only its own patience will tell it.
void Network::tell_down(kms::SessionId id, std::size_t end) {
  if (context_.strikes(context_.settings.faults.half_open, Count::kHalfOpen)) return;
  Session& session = sessions_.at(id);
  const Millis at = std::max(session.last_arrival[1 - end], context_.scheduler.now() + context_.random.between(0, 200));
  context_.scheduler.at(at, [this, id, end] {
    Session& down = sessions_.at(id);
    if (!down.open[end]) return;
    down.open[end] = false;
    const Pair& pair = pairs_[down.pair];
    sites_[pair.sites[end]]->post(kms::PeerDown{kme(pair.sites[1 - end]), id});
  });
}

void Network::close(std::size_t site, kms::SessionId id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  const std::size_t end = end_of(pairs_[session.pair], site);
  if (!session.open[end]) return;
  session.open[end] = false;
  session.broken = true;
  session.cut[end] = session.cut[end] || context_.random.chance(500);
  if (session.open[1 - end]) tell_down(id, 1 - end);
}

void Network::close_all(std::size_t site) {
  for (const Pair& pair : pairs_) {
    if (pair.sites[0] != site && pair.sites[1] != site) continue;
    close(site, pair.session);
  }
}

void Network::policy_replaced(std::size_t site) {
  for (const Pair& pair : pairs_) {
    if (pair.sites[0] == site || pair.sites[1] == site) {
      if (!sites_[site]->knows(kme(pair.sites[1 - end_of(pair, site)]))) close(site, pair.session);
    }
  }
}

bool Network::peers(const Pair& pair) const {
  return sites_[pair.sites[0]]->knows(kme(pair.sites[1])) && sites_[pair.sites[1]]->knows(kme(pair.sites[0]));
}

// --- weather -------------------------------------------------------------------------------------

void Network::bad_weather(std::size_t number) {
  context_.scheduler.after(1000, [this, number] {
    Pair& pair = pairs_[number];
    const Millis now = context_.scheduler.now();
    if (context_.strikes(context_.settings.faults.partition, Count::kPartition)) {
      const Millis until = now + context_.random.between(50, 5000);
      const std::uint64_t ends = context_.random.below(4);  // one way, the other, or (twice as often) both
      if (ends < 2) context_.counts.add(Count::kOneWayPartition);
      if (ends != 0) pair.blocked_until[0] = until;
      if (ends != 1) pair.blocked_until[1] = until;
      context_.trace("{} and {} are cut off until {} ms", kme(pair.sites[0]).str(), kme(pair.sites[1]).str(), until);
    }
    if (context_.strikes(context_.settings.faults.slow_period, Count::kSlowPeriod))
      pair.slow_until = now + context_.random.between(200, 3000);
    if (!context_.healed) bad_weather(number);
  });
}

void Network::heal() {
  for (Pair& pair : pairs_) {
    pair.blocked_until = {0, 0};
    pair.slow_until = 0;
  }
}

}  // namespace qkms::sim
