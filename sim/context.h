// What all parts of one simulated world share.
#pragma once

#include <fmt/format.h>

#include "sim/counts.h"
#include "sim/history.h"
#include "sim/prng.h"
#include "sim/scheduler.h"
#include "sim/settings.h"

namespace qkms::sim {

enum class Tracing { kOff, kOn };

struct Context {
  explicit Context(std::uint64_t seed, Tracing trace_mode)
      : random(seed),
        settings(draw_settings(seed, random)),
        topology(draw_topology(settings, random)),
        tracing(trace_mode) {}

  Prng random;
  const Settings settings;
  const Topology topology;
  const Tracing tracing;
  Scheduler scheduler;
  History history;
  Counts counts;
  bool healed = false;  // no more faults

  // Whether a fault strikes now; counted when it does.
  bool strikes(unsigned per_mille, Count what) {
    if (healed || !random.chance(per_mille)) return false;
    counts.add(what);
    return true;
  }

  template <class... Args>
  void trace(fmt::format_string<Args...> form, Args&&... args) const {
    if (tracing == Tracing::kOff) return;
    fmt::print("{:7} ms  {}\n", scheduler.now(), fmt::format(form, std::forward<Args>(args)...));
  }
};

}  // namespace qkms::sim
