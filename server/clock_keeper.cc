#include "server/clock_keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <time.h>

#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "certs/wall_clock.h"
#include "storage/os.h"

namespace qkms::server {
namespace {

constexpr std::size_t kMaxFileBytes = 32;
// The clock may be a little behind itself: a leap second, a synchronisation that corrects it.
constexpr std::int64_t kSlackS = 2;

std::int64_t seconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return time.tv_sec;
}

std::optional<std::int64_t> parse(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds <= 0) return std::nullopt;
  return seconds;
}

Result<std::string> read_file(const std::filesystem::path& file) {
  const FileDescriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!descriptor.is_open()) return storage::system_failure("cannot open", file);
  std::string text(kMaxFileBytes, '\0');
  const ssize_t got = ::read(descriptor.get(), text.data(), text.size());
  if (got < 0) return storage::system_failure("cannot read", file);
  text.resize(static_cast<std::size_t>(got));
  return text;
}

}  // namespace

ClockKeeper::Reading ClockKeeper::read_clocks() {
  return {seconds_of(CLOCK_REALTIME), seconds_of(CLOCK_BOOTTIME), certs::seconds_behind_floor()};
}

Result<std::int64_t> ClockKeeper::start(Reading now) {
  in_step_since_ = now;
  const auto text = read_file(file_);
  if (!text && text.error().code == ErrorCode::kNotFound) return 0;
  if (!text) return std::unexpected(text.error());
  const auto seconds = parse(*text);
  if (!seconds)
    return fail(ErrorCode::kInvalid,
                fmt::format("{} is not a time in seconds since 1970; remove it, if the clock of this machine is right",
                            file_.string()));
  return *seconds;
}

ClockKeeper::Seen ClockKeeper::look(Reading now) {
  Seen seen;
  const std::int64_t passed = now.boot - in_step_since_.boot;
  const std::int64_t set_by = now.wall - in_step_since_.wall - passed;
  if (std::abs(set_by) > kStepS) {
    seen.set_by_s = set_by;
    in_step_since_ = now;
  } else if (passed >= kProbationS) {
    in_step_since_ = now;
    if (now.behind_floor > 0) return seen;
    seen.reached = now.wall - kSlackS;
    if (auto kept = keep(*seen.reached); !kept) seen.cannot_write = kept.error();
  }
  return seen;
}

// A crash leaves the time before or this one.
Result<void> ClockKeeper::keep(std::int64_t unix_s) const {
  const std::string text = std::to_string(unix_s) + "\n";
  return storage::replace_file(file_, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

}  // namespace qkms::server
