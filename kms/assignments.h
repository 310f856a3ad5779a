// The keys that SAEs of this KME may still fetch. The store has them all; this holds the ones that the present batch
// looks at.
//
// Operation: load() at a batch's start takes over what the store found; put() and drop() record changes; flush() hands
// them on. Concurrency: the engine's thread.
#pragma once

#include <map>
#include <optional>

#include "kms/batch.h"

namespace qkms::kms {

class Assignments {
 public:
  void load(Loaded& loaded);
  // Null: there is none under this ID. Whoever changes it through touch() gets it written.
  const Assignment* find(const AssignmentId& id) const;
  Assignment* touch(const AssignmentId& id);
  void put(Assignment assignment);
  void drop(const AssignmentId& id);
  // Those of this batch are forgotten: the store drops all that it has.
  void forget() { entries_.clear(); }
  void flush(Batch& batch);

 private:
  struct Entry {
    std::optional<Assignment> row;
    bool stored = false;
    bool changed = false;
  };
  std::map<AssignmentId, Entry> entries_;
};

}  // namespace qkms::kms
