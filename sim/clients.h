// The encryptors: masters ask for keys and pass the IDs on; slaves fetch them, all at once or one by one, late, twice,
// mixed from two requests, or not; and some ask for what is not theirs.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "kms/event.h"
#include "sim/context.h"
#include "sim/site.h"
#include "sim/wire.h"

namespace qkms::sim {

class Clients {
 public:
  // All must outlive this.
  Clients(Context& context, std::vector<std::unique_ptr<Site>>& sites, Wire& wire);

  void start();
  void stop() { stopped_ = true; }
  void answered(std::size_t site, kms::ReplyEffect reply, Doubt doubt);
  // Whoever waits for this site will not be answered.
  void site_crashed(std::size_t site);
  // Slaves of this site try for keys that they have had.
  void store_put_back(std::size_t site);

  bool idle() const { return pending_.empty() && planned_ == 0; }
  // Slaves fetch whatever they may still have.
  void fetch_the_rest();
  // Each allowed pair whose KMEs share a link asks until it gets a key, or for as long as this.
  void probe(Millis patience);

 private:
  struct Pending {
    std::size_t site = 0;
    std::size_t caller = 0;
    Call call;
    unsigned tries = 0;
    std::optional<std::size_t> probe;  // which of the history's
    Millis patience_ends = 0;          // of a probe
  };
  struct Known {
    std::size_t master = 0;
    std::vector<std::size_t> slaves;
    std::vector<KeyId> ids;
    Millis expires = 0;
  };

  Pending pending_of(std::size_t caller, CallKind kind) const;
  void schedule_request();
  void random_request();
  void get_key(std::size_t master, std::vector<std::size_t> slaves, std::optional<std::size_t> probe,
               Millis patience_ends);
  void set_conditions(Call& call, kms::KeyRequest& request);
  void status(std::size_t caller, std::size_t slave);
  void fetch(std::size_t slave, std::size_t master, std::vector<KeyId> ids, unsigned tries);
  void fetch_later(Millis delay, std::size_t slave, std::size_t master, std::vector<KeyId> ids, unsigned tries = 0);
  void ask(Pending pending, kms::SaeRequest request);
  void finish(Pending pending);

  void keys_arrived(const Call& call, std::size_t master);
  void plan_fetches(const Known& known, std::size_t slave);
  void plan_mischief(const Known& known);
  void again(const Pending& pending);

  std::size_t index_of(const SaeId& sae) const { return indexes_.at(sae); }
  const SaeId& sae(std::size_t index) const { return context_.topology.saes[index]; }
  std::size_t site_of(std::size_t sae_index) const { return context_.topology.home_of[sae_index]; }

  Context& context_;
  std::vector<std::unique_ptr<Site>>& sites_;
  Wire& wire_;
  std::map<SaeId, std::size_t> indexes_;
  std::map<kms::RequestToken, Pending> pending_;
  kms::RequestToken next_token_ = 1;
  std::size_t planned_ = 0;  // fetches that will be sent later
  std::vector<Known> known_;
  std::set<std::pair<KeyId, std::size_t>> gone_;  // key and slave: fetched, or perhaps
  bool stopped_ = false;
};

}  // namespace qkms::sim
