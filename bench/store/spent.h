// What a piece of work took: wall time, CPU time of this process (user and system), and bytes that it gave to write
// calls.
//
// Thread rule: one thread. Between start and stop only the work itself may run.
#pragma once

#include <cstdint>
#include <string_view>

namespace qkms::bench {

struct Spent {
  double wall_s = 0;
  double cpu_s = 0;
  std::uint64_t written_bytes = 0;
  std::uint64_t checkpoints = 0;  // that fell into it
  Spent& operator+=(const Spent& other);
};

class Meter {
 public:
  Meter();
  // Since it was made. `checkpoints` is left at 0.
  Spent stop() const;

 private:
  double wall_s_, cpu_s_;
  std::uint64_t written_bytes_;
};

// A field of /proc/self/status in bytes, for example "RssAnon"; 0 when there is no such field.
std::uint64_t status_bytes(std::string_view field);

}  // namespace qkms::bench
