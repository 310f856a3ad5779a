#include "kms/assignments.h"

namespace qkms::kms {

void Assignments::load(Loaded& loaded) {
  for (auto& [id, row] : loaded.assignments) entries_[id] = Entry{std::move(row), true, false};
  loaded.assignments.clear();
}

const Assignment* Assignments::find(const AssignmentId& id) const {
  const auto found = entries_.find(id);
  return found == entries_.end() || !found->second.row ? nullptr : &*found->second.row;
}

Assignment* Assignments::touch(const AssignmentId& id) {
  const auto found = entries_.find(id);
  if (found == entries_.end() || !found->second.row) return nullptr;
  found->second.changed = true;
  return &*found->second.row;
}

void Assignments::put(Assignment assignment) {
  Entry& entry = entries_[{assignment.issuer, assignment.record}];
  entry.row = std::move(assignment);
  entry.changed = true;
}

void Assignments::drop(const AssignmentId& id) {
  // Not loaded: it may be stored all the same, and dropping what is not there does nothing.
  Entry& entry = entries_.try_emplace(id, Entry{std::nullopt, true, true}).first->second;
  entry.row.reset();
  entry.changed = true;
}

void Assignments::flush(Batch& batch) {
  for (auto& [id, entry] : entries_) {
    if (!entry.changed) continue;
    if (entry.row) {
      batch.changes.put_assignments.push_back(std::move(*entry.row));
    } else if (entry.stored) {
      batch.changes.dropped_assignments.push_back(id);
    }
  }
  entries_.clear();
}

}  // namespace qkms::kms
