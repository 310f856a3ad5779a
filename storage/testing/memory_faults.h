// For tests: the N-th allocation of SQLite fails, once or from then on. No connection may be open when this is made or
// goes. Concurrency: one thread.
#pragma once

#include <cstdint>

namespace qkms::storage {

class MemoryFaults {
 public:
  MemoryFaults();
  MemoryFaults(const MemoryFaults&) = delete;
  MemoryFaults& operator=(const MemoryFaults&) = delete;
  ~MemoryFaults();

  void arm(std::uint64_t nth, bool once);
  void disarm();
  bool hit() const;
};

}  // namespace qkms::storage
