// What one run is like: how many sites, how they hang together, how tight the limits are, what goes wrong how often.
// All of it follows from the seed.
#pragma once

#include <memory>
#include <vector>

#include "kms/policy.h"
#include "sim/prng.h"

namespace qkms::sim {

// Chances per mille.
struct FaultRates {
  unsigned crash_before = 0, crash_after = 0, commit_failed = 0, commit_unknown = 0;    // per step
  unsigned session_broken = 0, frame_duplicated = 0, frame_reordered = 0;               // per frame
  unsigned half_open = 0;                                                               // per end of a broken session
  unsigned block_lost = 0, block_delayed = 0, block_corrupted = 0, block_repeated = 0;  // per block and end
  unsigned put_back = 0;                                                                // per fall
  unsigned row_damaged = 0;                                                             // per commit with new extents
  unsigned reply_lost = 0;                                                              // per answer
  unsigned partition = 0, slow_period = 0;                                              // per pair and second
};

struct Settings {
  std::uint64_t seed = 0;
  std::size_t sites = 2;
  std::size_t saes_per_site = 2;
  Millis run_ms = 10'000;
  Millis tick_ms = 100;
  Millis batching_ms = 3;  // a step waits up to this long for more events
  Millis latency_ms = 10;
  Millis block_every_ms = 250;
  std::size_t least_block_bytes = 100, most_block_bytes = 1200;
  Millis request_every_ms = 100;
  std::uint32_t most_keys = 4;
  unsigned encode_frames = 0;    // chance per mille that a frame goes over the codec
  bool hostile_frames = false;   // frames are repeated and change places: sessions may close over it
  bool clocks_stop = false;      // a KME's clock stands still while the KME is down, as qkmsd's does over a reboot
  bool policies_differ = false;  // some pairs of SAEs are allowed at one KME only
  bool reloads = false;          // operators replace policies while everything runs
  bool seals = false;            // operators seal and unseal sites; some sites start sealed
  bool conditions = false;       // some masters ask for young keys, or for keys that come a certain way
  bool limits = false;           // some SAEs and pairs have rates, quotas and reserves
  FaultRates faults;
};

struct Topology {
  std::vector<KmeId> kmes;  // in the order of their IDs
  std::vector<SaeId> saes;
  std::vector<std::size_t> home_of;                        // of each SAE: index into kmes
  std::vector<std::pair<std::size_t, std::size_t>> links;  // first < second
  std::vector<LinkId> link_ids;
  std::vector<std::shared_ptr<const kms::Policy>> policies;  // of each KME

  bool linked(std::size_t a, std::size_t b) const;
  // By the KMEs of both.
  bool allowed(std::size_t master, std::size_t slave) const;
};

Settings draw_settings(std::uint64_t seed, Prng& random);
Topology draw_topology(const Settings& settings, Prng& random);

}  // namespace qkms::sim
