#include "kms/testing/sites.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace qkms::kms::testing {

KmeId kme(const std::string& text) { return *KmeId::parse(text); }
SaeId sae(const std::string& text) { return *SaeId::parse(text); }
LinkId link(const std::string& text) { return *LinkId::parse(text); }

BlockId block(std::uint8_t number) {
  BlockId::Bytes bytes{};
  bytes[15] = number;
  return BlockId(bytes);
}

SecretBytes bits(std::uint8_t number, std::size_t size) {
  SecretBytes out(size);
  SeededRandom(0x5eedu + number).fill(out.reveal_mutable());
  return out;
}

void SeededRandom::fill(std::span<std::uint8_t> out) {
  for (std::uint8_t& byte : out) {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    byte = static_cast<std::uint8_t>(z ^ (z >> 31));
  }
}

Site::Site(Policy site_policy, std::uint64_t seed)
    : id(site_policy.self), policy(std::make_shared<Policy>(std::move(site_policy))), random(seed) {}

void Site::open(Millis now) {
  auto opened = Node::open(policy, store, random, now);
  ASSERT_TRUE(opened.has_value()) << opened.error().text;
  node = std::move(*opened);
}

Sites::Sites() {
  const std::vector<std::string> names{"A", "B", "C"};
  for (const std::string& name : names) {
    Policy policy;
    policy.self = kme("KME-" + name);
    policy.timing.reconcile_ms = 0;
    for (const std::string& other : names) {
      const bool neighbours = name != other && (name == "A" || other == "A");
      if (neighbours) policy.peers[kme("KME-" + other)] = {};
    }
    if (name != "C") policy.links[link("link-ab")] = {.peer = kme(name == "A" ? "KME-B" : "KME-A")};
    if (name != "B") policy.links[link("link-ac")] = {.peer = kme(name == "A" ? "KME-C" : "KME-A")};
    std::vector<SaeId> saes;
    for (const std::string& home : names) {
      for (const char* number : {"1", "2"}) {
        saes.push_back(sae("SAE-" + home + number));
        policy.homes[saes.back()] = kme("KME-" + home);
      }
    }
    for (const SaeId& master : saes) {
      for (const SaeId& slave : saes) {
        if (slave != sae("SAE-B2")) policy.allowed.emplace(master, slave);
      }
    }
    auto site = std::make_unique<Site>(std::move(policy), sites_.size() + 1);
    site->open(now);
    sites_.emplace(site->id, std::move(site));
  }
}

void Sites::take(Site& site, Node::Outcome outcome) {
  for (auto& reply : outcome.effects.replies) site.replies.push_back(std::move(reply));
  for (auto& notice : outcome.effects.notices) site.notices.push_back(std::move(notice));
  for (auto& note : outcome.effects.notes) site.notes.push_back(std::move(note));
  for (const auto& told : outcome.effects.links_full) site.full[told.link] = told.full;
  for (auto& report : outcome.effects.reports) site.last_report = std::move(report.report);
  for (auto& send : outcome.effects.sends) {
    const auto session = sessions_.find({site.id, send.peer});
    if (session != sessions_.end() && session->second == send.session)
      wire_.push_back({site.id, send.peer, std::move(send.frame)});
  }
  for (const auto& close : outcome.effects.closes) {
    const auto session = sessions_.find({site.id, close.peer});
    if (session != sessions_.end() && session->second == close.session) disconnect(site.id.str(), close.peer.str());
  }
}

void Sites::send(const std::string& name, Event event) {
  Site& site = at(name);
  std::vector<Event> events;
  events.push_back(std::move(event));
  take(site, site.node->step(std::move(events), now));
  if (!hold_) deliver();
}

void Sites::deliver() {
  while (!wire_.empty()) {
    OnTheWire next = std::move(wire_.front());
    wire_.erase(wire_.begin());
    hand_over(std::move(next));
  }
}

void Sites::deliver_to(const std::string& name) {
  for (OnTheWire& frame : std::exchange(wire_, {})) {
    if (frame.to == kme(name)) {
      hand_over(std::move(frame));
    } else {
      wire_.push_back(std::move(frame));
    }
  }
}

void Sites::hand_over(OnTheWire frame) {
  const auto session = sessions_.find({frame.to, frame.from});
  Site& site = *sites_.at(frame.to);
  if (session == sessions_.end() || !site.node) return;
  if (drop_marks_) {
    frame.frame.mark = {};
    if (auto* hello = std::get_if<api::Hello>(&frame.frame.body)) hello->heard = {};
  }
  if (auto* heartbeat = std::get_if<api::Heartbeat>(&frame.frame.body); heartbeat != nullptr && drop_accounts_)
    heartbeat->accounts.reset();
  if (std::holds_alternative<api::Numbered>(frame.frame.body)) heard_.push_back(frame);
  std::vector<Event> events;
  events.emplace_back(PeerFrame{frame.from, session->second, std::move(frame.frame)});
  take(site, site.node->step(std::move(events), now));
}

void Sites::replay_to(const std::string& name) {
  const auto heard = heard_;
  for (const OnTheWire& frame : heard) {
    if (frame.to != kme(name)) continue;
    const auto session = sessions_.find({frame.to, frame.from});
    if (session != sessions_.end()) send(name, PeerFrame{frame.from, session->second, frame.frame});
  }
}

void Sites::connect(const std::string& one, const std::string& other) {
  const SessionId mine = next_session_++;
  const SessionId theirs = next_session_++;
  sessions_[{kme(one), kme(other)}] = mine;
  sessions_[{kme(other), kme(one)}] = theirs;
  const bool held = std::exchange(hold_, true);
  send(one, PeerUp{kme(other), mine});
  send(other, PeerUp{kme(one), theirs});
  hold_ = held;
  if (!hold_) deliver();
}

void Sites::disconnect(const std::string& one, const std::string& other) {
  const auto end = [&](const KmeId& here, const KmeId& there) {
    const auto session = sessions_.find({here, there});
    if (session == sessions_.end()) return;
    const SessionId id = session->second;
    sessions_.erase(session);
    if (sites_.at(here)->node) send(here.str(), PeerDown{there, id});
  };
  std::erase_if(wire_, [&](const OnTheWire& frame) {
    return (frame.from == kme(one) && frame.to == kme(other)) || (frame.from == kme(other) && frame.to == kme(one));
  });
  end(kme(one), kme(other));
  end(kme(other), kme(one));
}

void Sites::advance(Millis ms) {
  for (const Millis end = now + ms; now < end;) {
    now += 50;
    for (auto& [id, site] : sites_) {
      if (site->node) send(id.str(), Tick{});
    }
  }
}

void Sites::restart(const std::string& name) {
  for (const auto& [id, site] : sites_) disconnect(name, id.str());
  Site& site = at(name);
  site.close();
  site.store.crash();
  site.open(now);
}

void Sites::put_back(const std::string& name, storage::MemoryStore::Declared declared) {
  for (const auto& [id, site] : sites_) disconnect(name, id.str());
  Site& site = at(name);
  site.close();
  site.store.put_back(declared);
  site.store.crash();
  site.open(now);
}

void Sites::seal(const std::string& name) {
  Site& site = at(name);
  Node::Outcome outcome = site.node->seal({.action = api::AuditAction::kSeal, .actor = "admin"}, now);
  const bool sessions_lost = outcome.sessions_lost;
  take(site, std::move(outcome));
  if (!sessions_lost) return;
  for (const auto& [id, other] : sites_) disconnect(name, id.str());
}

Result<void> Sites::unseal(const std::string& name) {
  return at(name).node->unseal({.action = api::AuditAction::kUnseal, .actor = "admin"}, now);
}

void Sites::change_policy(const std::string& name, const std::function<void(Policy&)>& change) {
  Site& site = at(name);
  auto changed = std::make_shared<Policy>(*site.policy);
  change(*changed);
  site.policy = changed;
  take(site, site.node->replace_policy(changed, now));
  if (!hold_) deliver();
}

void Sites::feed(const std::string& link_name, std::uint8_t number, std::size_t size) {
  for (auto& [id, site] : sites_) {
    if (site->policy->links.contains(link(link_name)))
      send(id.str(), BlockArrived{link(link_name), block(number), bits(number, size)});
  }
}

SaeReply Sites::ask(const std::string& name, SaeRequest request) {
  Site& site = at(name);
  const RequestToken token = next_token_++;
  const bool may_be_late = std::holds_alternative<KeyIdsRequest>(request);  // refusals wait for the next tick
  send(name, SaeEvent{token, std::move(request)});
  if (may_be_late) send(name, Tick{});
  const auto found = std::ranges::find(site.replies, token, &ReplyEffect::token);
  if (found == site.replies.end()) return Error{ErrorCode::kInternal, "no answer yet"};
  SaeReply reply = std::move(found->reply);
  site.replies.erase(found);
  return reply;
}

KeysReply Sites::keys(const std::string& name, SaeRequest request) {
  SaeReply reply = ask(name, std::move(request));
  if (const auto* error = std::get_if<Error>(&reply)) ADD_FAILURE() << name_of(error->code) << ": " << error->text;
  auto* keys = std::get_if<KeysReply>(&reply);
  return keys == nullptr ? KeysReply{} : std::move(*keys);
}

ErrorCode Sites::refusal(const std::string& name, SaeRequest request) {
  const SaeReply reply = ask(name, std::move(request));
  const auto* error = std::get_if<Error>(&reply);
  if (error == nullptr) ADD_FAILURE() << "it was granted";
  return error == nullptr ? ErrorCode::kInternal : error->code;
}

ReservoirReport Sites::reservoir(const std::string& name, const std::string& peer) {
  send(name, ReportRequest{1});
  const auto& reports = at(name).last_report.reservoirs;
  const auto found = std::ranges::find(reports, kme(peer), &ReservoirReport::peer);
  return found == reports.end() ? ReservoirReport{} : *found;
}

std::uint64_t Sites::accounted(const ReservoirReport& report) {
  const Ledger& l = report.ledger;
  return l.macs + l.quarantined + l.in_flight + l.held + l.delivered + l.pads + l.burned + l.expired +
         report.available_own_bits + report.available_peer_bits;
}

}  // namespace qkms::kms::testing
