// A store opened by a process that has done nothing else, so that its memory and its start are those of the store.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace qkms::bench {

struct Probe {
  double open_s = 0, open_cpu_s = 0;
  std::uint64_t opened_bytes = 0;  // RssAnon after it
  std::uint64_t worked_bytes = 0;  // RssAnon after `work_keys` came and went
  std::uint64_t peak_bytes = 0;    // VmHWM: the most that was resident, pages of the program included
};

enum class Cache { kWarm, kCold };  // what the kernel has of the store's file

// In a process of its own. The store in `folder` is closed meanwhile; `who` is a lane's name; records from `next` on
// are free. Throws when the process fails.
Probe probe(const std::filesystem::path& program, const std::string& who, const std::filesystem::path& folder,
            Cache cache, std::uint64_t next, std::uint64_t work_keys);

// What that process does: prints what probe() reads. `arguments`: who, folder, next, work keys.
int run_probe(std::span<char*> arguments);

}  // namespace qkms::bench
