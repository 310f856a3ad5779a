// The operators of the sites: they put other policies in force while everything runs, or while a site is down. What
// they take away they bring back, at the latest when all faults end. And they seal sites, and unseal those that are
// sealed.
//
// What would surprise: a link alone is brought back before its leader starts anew. The follower may have accepted
// blocks of it, and a leader that starts without the link no longer knows with whom it shares them.
#pragma once

#include <map>
#include <variant>
#include <vector>

#include "sim/context.h"
#include "sim/network.h"
#include "sim/site.h"

namespace qkms::sim {

class Operators {
 public:
  // All must outlive this.
  Operators(Context& context, std::vector<std::unique_ptr<Site>>& sites, Network& network);

  void start();
  // The site's engine is gone, and will be made anew from its store.
  void engine_lost(std::size_t site);
  // The end of all faults: every site gets the policy that it should have, without limits on what SAEs take.
  void heal();

 private:
  using Thing = std::variant<SaeId, KmeId, LinkId>;
  struct Office {
    kms::Policy policy;                 // with everything that belongs there
    std::map<Thing, std::size_t> away;  // what is taken out of it, and which of the history's absences that is
  };

  void schedule(std::size_t site);
  void change_something(std::size_t site);
  void look_at_seal(std::size_t site);
  void tweak(std::size_t site);
  void remove_sae(std::size_t site);
  void remove_peer(std::size_t site);
  void remove_link(std::size_t site);
  // For a while; what is away already stays as it is.
  void take_away_later(Millis delay, std::size_t site, const Thing& thing);
  void take_away(std::size_t site, const Thing& thing);
  void bring_back(std::size_t site, const Thing& thing);
  bool can_go(std::size_t site, const Thing& thing) const;
  void end_absence(std::size_t site, const Thing& thing);
  std::vector<Thing> links_away(std::size_t site) const;
  Absence absence_of(std::size_t site, const Thing& thing) const;
  void put_in_force(std::size_t site);

  Context& context_;
  std::vector<std::unique_ptr<Site>>& sites_;
  Network& network_;
  std::vector<Office> offices_;
};

}  // namespace qkms::sim
