// See spent.h.
#include "bench/store/spent.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>

namespace qkms::bench {
namespace {

double seconds_of(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// The number behind "<field>:" in a small file of /proc.
std::uint64_t field_of(const char* file, std::string_view field) {
  std::array<char, 4096> buffer;
  const int descriptor = ::open(file, O_RDONLY | O_CLOEXEC);
  const ssize_t size = descriptor < 0 ? 0 : ::read(descriptor, buffer.data(), buffer.size());
  if (descriptor >= 0) ::close(descriptor);
  const std::string_view text(buffer.data(), size < 0 ? 0 : static_cast<std::size_t>(size));
  const std::size_t at = text.find(std::string(field) + ":");
  const std::size_t digits = at == std::string_view::npos ? at : text.find_first_of("0123456789", at + field.size());
  std::uint64_t number = 0;
  if (digits != std::string_view::npos) std::from_chars(text.data() + digits, text.data() + text.size(), number);
  return number;
}

}  // namespace

Spent& Spent::operator+=(const Spent& other) {
  wall_s += other.wall_s;
  cpu_s += other.cpu_s;
  written_bytes += other.written_bytes;
  checkpoints += other.checkpoints;
  return *this;
}

// The clocks are read last at the start and first at the end, so that looking is not measured.
Meter::Meter() : written_bytes_(field_of("/proc/self/io", "wchar")) {
  wall_s_ = seconds_of(CLOCK_MONOTONIC);
  cpu_s_ = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

Spent Meter::stop() const {
  const double cpu_s = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  const double wall_s = seconds_of(CLOCK_MONOTONIC);
  return {.wall_s = wall_s - wall_s_,
          .cpu_s = cpu_s - cpu_s_,
          .written_bytes = field_of("/proc/self/io", "wchar") - written_bytes_,
          .checkpoints = 0};
}

std::uint64_t status_bytes(std::string_view field) { return field_of("/proc/self/status", field) * 1024; }

}  // namespace qkms::bench
