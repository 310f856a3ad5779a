// A simulated QKD link: two daemons with the same seed make the same blocks under the same IDs, with no word between
// them. NOT SECRET: whoever knows the seed knows the key. For demonstrations, tests and benchmarks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "drivers/driver.h"
#include "drivers/model_settings.h"

namespace qkms::drivers {

// Probabilities are per block, at this end only, 0 to 1.
struct SimulatedFaults {
  double lose = 0;     // never delivered
  double delay = 0;    // delivered delay_ms late
  double reorder = 0;  // swapped with the block after it
  double corrupt = 0;  // one bit flipped
  double repeat = 0;   // delivered twice
  std::uint32_t delay_ms = 2000;
  bool operator==(const SimulatedFaults&) const = default;
};

struct SimulatedSettings {
  std::string seed;                  // any text; equal at both ends
  std::uint64_t rate_bps = 100'000;  // secret bits a second, on average, of model "constant"
  std::uint32_t burst_ms = 1000;  // a block (or several, when too large for one) for every such interval of wall time
  SimulatedFaults faults;
  ModelSettings physics;  // must have no problem (problem_of)
  bool operator==(const SimulatedSettings&) const = default;
};

std::unique_ptr<Driver> make_simulated_driver(LinkId link, SimulatedSettings settings);

}  // namespace qkms::drivers
