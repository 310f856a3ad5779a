// See probe.h.
#include "bench/store/probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <stdexcept>

#include "bench/store/bare_store.h"
#include "bench/store/qkms_store.h"
#include "bench/store/stock.h"

namespace qkms::bench {
namespace {

// Everything is on the disk by now, so the kernel can let go of it.
void forget(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw std::runtime_error("cannot open " + file.string());
  ::fdatasync(descriptor);
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  ::close(descriptor);
}

struct ClosePipe {
  void operator()(FILE* pipe) const { ::pclose(pipe); }
};

std::unique_ptr<Contestant> contestant(const std::string& who, const std::filesystem::path& folder) {
  constexpr std::uint64_t kAuditBytes = 8 << 20;
  if (who == "qkms") return std::make_unique<QkmsStore>(folder, kAuditBytes);
  return std::make_unique<BareStore>(folder, kAuditBytes);
}

}  // namespace

Probe probe(const std::filesystem::path& program, const std::string& who, const std::filesystem::path& folder,
            Cache cache, std::uint64_t next, std::uint64_t work_keys) {
  if (cache == Cache::kCold) forget(folder / "store.db");
  const std::string command =
      fmt::format("'{}' --probe '{}' '{}' {} {}", program.string(), who, folder.string(), next, work_keys);
  const std::unique_ptr<FILE, ClosePipe> pipe(::popen(command.c_str(), "r"));
  if (!pipe) throw std::runtime_error("cannot start a process");
  Probe result;
  unsigned long long opened = 0, worked = 0, peak = 0;
  if (std::fscanf(pipe.get(), "%lf %lf %llu %llu %llu", &result.open_s, &result.open_cpu_s, &opened, &worked, &peak) !=
      5) {
    throw std::runtime_error("the process that opens the store failed");
  }
  result.opened_bytes = opened;
  result.worked_bytes = worked;
  result.peak_bytes = peak;
  return result;
}

int run_probe(std::span<char*> arguments) {
  const std::string who = arguments[0];
  const Meter meter;
  const std::unique_ptr<Contestant> store = contestant(who, arguments[1]);
  const Spent opening = meter.stop();
  const std::uint64_t opened = status_bytes("RssAnon");
  Stock stock(std::stoull(arguments[2]));
  const std::uint64_t work_keys = std::stoull(arguments[3]);
  for (std::uint64_t done = 0; done < work_keys; done += kKeysPerCommit) {
    store->put(stock.fresh(kKeysPerCommit));
    store->deliver(stock.oldest(kKeysPerCommit));
  }
  fmt::print("{} {} {} {} {}\n", opening.wall_s, opening.cpu_s, opened, status_bytes("RssAnon"), status_bytes("VmHWM"));
  return 0;
}

}  // namespace qkms::bench
