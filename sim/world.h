// One simulated world: sites, network, devices, encryptors; from a seed to a history.
//
// Phases: faults and traffic; then all faults end and everything settles; slaves fetch what is left; every allowed pair
// tries once more; then devices and encryptors stop, and when nothing moves each KME states its accounts.
#pragma once

#include <memory>
#include <vector>

#include "sim/clients.h"
#include "sim/context.h"
#include "sim/devices.h"
#include "sim/network.h"
#include "sim/operators.h"
#include "sim/site.h"
#include "sim/wire.h"

namespace qkms::sim {

class World final : private SiteListener {
 public:
  explicit World(std::uint64_t seed, Tracing tracing = Tracing::kOff);

  void run();
  const History& history() const { return context_.history; }
  const Counts& counts() const { return context_.counts; }

 private:
  void released(std::size_t site, kms::Effects effects, Doubt doubt) override;
  void sessions_lost(std::size_t site) override;
  void crashed(std::size_t site) override;
  void put_back(std::size_t site) override { clients_.store_put_back(site); }
  bool would_hear_of_it(std::size_t site) const override;

  void write_terms();
  void watch_levels();
  void note_levels(std::size_t site, const kms::Report& report);
  void setback(std::size_t site);
  void wait_for_expiry();
  void heed(std::size_t site, const kms::Notice& notice);
  void heal();
  // False: not within this time.
  bool settle(Millis patience);
  bool at_rest();
  void take_reports();
  void wait_for_clients(Millis patience);
  void write_accounts();

  Context context_;
  std::vector<std::unique_ptr<Site>> sites_;
  Wire wire_;
  Network network_;
  Devices devices_;
  Clients clients_;
  Operators operators_;
  std::vector<kms::Report> reports_;
};

}  // namespace qkms::sim
