// The sessions between KMEs: each an ordered stream of frames, like a WebSocket over TCP, that may break at any moment.
// The two ends learn of it at different times, or one of them never (half-open); frames under way arrive or are lost. A
// partition holds frames back and lets no new session through.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "kms/event.h"
#include "sim/context.h"
#include "sim/site.h"
#include "sim/wire.h"

namespace qkms::sim {

class Network {
 public:
  // All must outlive this.
  Network(Context& context, std::vector<std::unique_ptr<Site>>& sites, Wire& wire);

  void start();
  void send(std::size_t site, const kms::SendEffect& effect);
  void close(std::size_t site, kms::SessionId session);
  void close_all(std::size_t site);
  // Sessions with whoever is no peer any more are closed, as qkmsd's transport does after its engine.
  void policy_replaced(std::size_t site);
  void heal();

 private:
  // Index 0 or 1: which end of the pair.
  struct Session {
    std::size_t pair = 0;
    bool broken = false;                       // nothing that is sent from now on arrives
    std::array<bool, 2> open{true, true};      // whether the end believes in it
    std::array<bool, 2> cut{false, false};     // what this end has sent and is still under way is lost
    std::array<Millis, 2> last_arrival{0, 0};  // of what this end has sent
  };
  struct Pair {
    std::array<std::size_t, 2> sites;
    kms::SessionId session = 0;                 // 0: none yet
    std::array<Millis, 2> blocked_until{0, 0};  // frames from this end are held back
    Millis slow_until = 0;
  };

  void dial_later(std::size_t pair);
  void dial(std::size_t pair);
  void bad_weather(std::size_t pair);
  Millis arrival_time(const Pair& pair, const Session& session, std::size_t end);
  void carry(kms::SessionId id, std::size_t end, api::Frame frame, Millis arrival);
  void break_session(kms::SessionId id);
  void tell_down(kms::SessionId id, std::size_t end);
  api::Frame over_codec(std::size_t site, api::Frame frame);
  // Whether the policies in force at both ends say so.
  bool peers(const Pair& pair) const;
  std::size_t end_of(const Pair& pair, std::size_t site) const { return pair.sites[0] == site ? 0 : 1; }
  const KmeId& kme(std::size_t site) const { return context_.topology.kmes[site]; }

  Context& context_;
  std::vector<std::unique_ptr<Site>>& sites_;
  Wire& wire_;
  std::vector<Pair> pairs_;
  std::map<kms::SessionId, Session> sessions_;
  kms::SessionId next_session_ = 1;
};

}  // namespace qkms::sim
