// A few KMEs in one process over memory stores, joined by perfect sessions: what the engine's tests play on. No faults
// here; the simulator (sim/) has those.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kms/node.h"
#include "storage/memory_store.h"

namespace qkms::kms::testing {

KmeId kme(const std::string& text);
SaeId sae(const std::string& text);
LinkId link(const std::string& text);
BlockId block(std::uint8_t number);
// Bits that depend on `number` and are different everywhere.
SecretBytes bits(std::uint8_t number, std::size_t size);

// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): reproducible, not secret.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::uint8_t> out) override;

 private:
  std::uint64_t state_;
};

class Site {
 public:
  Site(Policy policy, std::uint64_t seed);
  void open(Millis now);
  void close() { node.reset(); }

  KmeId id;
  std::shared_ptr<Policy> policy;
  storage::MemoryStore store;
  SeededRandom random;
  std::unique_ptr<Node> node;
  std::vector<ReplyEffect> replies;
  std::vector<Notice> notices;
  std::vector<DriverNote> notes;
  std::map<LinkId, bool> full;  // as told last
  Report last_report;
};

// KME-A, KME-B, KME-C: A and B share link-ab, A and C share link-ac. SAE-A1, SAE-A2 live at A, and so on; every master
// may ask for every slave but SAE-B2, which takes keys from nobody. After a start no KME waits for what its peers say.
class Sites {
 public:
  Sites();

  Site& at(const std::string& name) { return *sites_.at(kme(name)); }
  // Hands events to a site and delivers what comes out, and what comes of that, until nothing is under way.
  void send(const std::string& site, Event event);
  void connect(const std::string& one, const std::string& other);
  void disconnect(const std::string& one, const std::string& other);
  // Frames to and from this site stay where they are until released.
  void hold_frames(bool hold) { hold_ = hold; }
  void drop_held_frames() { wire_.clear(); }
  // Every numbered message that a site has heard so far, once more, byte by byte the same, in its present sessions.
  void replay_to(const std::string& site);
  void deliver();
  // Of the frames that are held now, those to this site.
  void deliver_to(const std::string& site);
  void advance(Millis ms);  // time passes in steps of 50 ms, with ticks
  void restart(const std::string& site);
  // Restarts it on the copy of its store that was taken before.
  void put_back(const std::string& site, storage::MemoryStore::Declared declared);
  // As qkmsctl does, by "admin". Sealing ends its sessions.
  void seal(const std::string& site);
  Result<void> unseal(const std::string& site);
  // From now on frames are as KMEs send and read them that know no marks.
  void drop_marks() { drop_marks_ = true; }
  // Likewise that know no accounts, until told otherwise.
  void drop_accounts(bool drop) { drop_accounts_ = drop; }
  // Puts a changed copy of its policy in force at a site.
  void change_policy(const std::string& site, const std::function<void(Policy&)>& change);

  void feed(const std::string& link_name, std::uint8_t number, std::size_t size);
  SaeReply ask(const std::string& site, SaeRequest request);
  KeysReply keys(const std::string& site, SaeRequest request);     // expects keys
  ErrorCode refusal(const std::string& site, SaeRequest request);  // expects an error
  ReservoirReport reservoir(const std::string& site, const std::string& peer);
  // available + all columns of the ledger = in
  static std::uint64_t accounted(const ReservoirReport& report);

  Millis now = 1'000'000;

 private:
  struct OnTheWire {
    KmeId from, to;
    api::Frame frame;
  };
  void take(Site& site, Node::Outcome outcome);
  void hand_over(OnTheWire frame);

  std::map<KmeId, std::unique_ptr<Site>> sites_;
  std::map<std::pair<KmeId, KmeId>, SessionId> sessions_;  // (at, towards)
  std::vector<OnTheWire> wire_;
  std::vector<OnTheWire> heard_;
  SessionId next_session_ = 1;
  RequestToken next_token_ = 1;
  bool hold_ = false;
  bool drop_marks_ = false;
  bool drop_accounts_ = false;
};

}  // namespace qkms::kms::testing
