// The lives of this KME's store, and the marks by which peers remember how far it had come: so a store that was put
// back to an earlier state (a restored backup, a snapshot of the machine, a copied folder) finds out. The whole
// argument is in docs/adr/0015-lives-of-a-store.md.
//
// Operation: each opening of the store by a process begins a life, with an ordinal after all before it and a random
// number. Within a life, `progress` grows with each commit that gives something out. Every frame to a peer carries a
// mark of both; the peer stores it and gives it back in its next Hello, where judge() holds it against what we know to
// have told that peer. Concurrency: the engine's thread.
#pragma once

#include <string>
#include <vector>

#include "kms/random.h"
#include "kms/types.h"

namespace qkms::kms {

inline constexpr std::size_t kMarkKeyBytes = 32;

NodeRow copy_of(const NodeRow& node);
// For a store that is new. Its first life has yet to begin.
NodeRow new_node(const KmeId& self, Random& random, Millis now);
// The present life is over, and another one begins. `peers` are all that are stored; returns those that have changed.
std::vector<PeerRow> begin_life(NodeRow& node, std::vector<PeerRow>& peers, Random& random);

class Life {
 public:
  explicit Life(NodeRow node) : node_(std::move(node)) {}

  const NodeRow& node() const { return node_; }
  void set_record_limit(std::uint64_t limit) { node_.record_limit = limit; }
  void set_time(Millis time) { node_.time = time; }

  // Something leaves with the present batch.
  void gives_out() { ++node_.progress; }
  api::Mark mark_for(const KmeId& peer) const;
  Told told_now() const { return {node_.ordinal, node_.life, node_.progress}; }

  // kPutBack: it is ours, and of a life, or a point of a life, that this store does not know of. kForged: it is not
  // ours. kKnown: it says nothing new.
  enum class Verdict { kKnown, kForged, kPutBack };
  Verdict judge(const api::Mark& heard, const PeerRow& peer) const;

  // After a put-back: this store is another one now, whose marks come after all that were made before. `heard` is the
  // ordinal of the mark that told.
  void start_over(std::uint64_t heard, Random& random);

 private:
  NodeRow node_;
};

}  // namespace qkms::kms
