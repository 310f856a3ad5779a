#include "server/syslog_copy.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "api/audit_line.h"

namespace qkms::server {
namespace {

constexpr std::chrono::milliseconds kPause{200};     // between looks at the log
constexpr std::chrono::milliseconds kPatience{500};  // with a syslog whose queue is full
constexpr int kPriority = 10 * 8 + 5;                // authpriv, notice (RFC 5424 §6.2.1)

// RFC 5424 §6.2.4: printable ASCII, or "-".
std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "-";
  const std::string text(name.data());
  const bool printable = std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
  return text.empty() || !printable ? "-" : text;
}

// The record's own: `"time":"…"`, which audit_line() writes as RFC 5424 §6.2.3 wants it.
std::string_view time_of(std::string_view line) {
  constexpr std::string_view kBefore = "\"time\":\"";
  const std::size_t at = line.find(kBefore);
  if (at == std::string_view::npos) return "-";
  const std::string_view rest = line.substr(at + kBefore.size());
  return rest.substr(0, rest.find('"'));
}

}  // namespace

SyslogCopy::SyslogCopy(std::filesystem::path socket, Read read)
    : socket_(std::move(socket)),
      read_(std::move(read)),
      origin_(fmt::format("{} qkmsd {} audit - ", host_name(), ::getpid())) {}

void SyslogCopy::start(std::uint64_t last) {
  last_ = last;
  thread_ = std::jthread([this](const std::stop_token& stopping) { run(stopping); });
}

void SyslogCopy::finish(const Read& read) {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  while (copy_page(read) == Step::kMore) {
  }
  if (counts_.waiting > 0)
    spdlog::error("{} records of the audit log are not copied to the syslog {}; they are in the store",
                  counts_.waiting.load(), socket_.string());
}

void SyslogCopy::run(const std::stop_token& stopping) {
  std::mutex mutex;
  std::condition_variable_any wake;
  while (!stopping.stop_requested()) {
    if (copy_page(read_) == Step::kMore) continue;
    std::unique_lock lock(mutex);
    wake.wait_for(lock, stopping, kPause, [] { return false; });
  }
}

SyslogCopy::Step SyslogCopy::copy_page(const Read& read) {
  const Result<storage::AuditPage> page = read(last_ + 1, kPageBytes);
  if (!page) return Step::kFailed;  // the daemon ends, or has other troubles that it speaks of itself
  for (const std::string& line : page->lines) {
    const Result<api::AuditPlace> place = api::place_of_audit_line(line);
    const std::uint64_t number = place ? place->sequence : last_ + 1;
    const Sent sent = send(message_of(line));
    counts_.waiting = page->last.sequence - last_;
    if (sent == Sent::kNo) return Step::kFailed;
    counts_.skipped += number - last_ - 1 + (sent == Sent::kTooLong ? 1 : 0);
    counts_.copied += sent == Sent::kYes ? 1 : 0;
    last_ = number;
  }
  counts_.waiting = page->last.sequence - last_;
  if (out_) note_recovery();
  return counts_.waiting > 0 && !page->lines.empty() ? Step::kMore : Step::kDone;
}

std::string SyslogCopy::message_of(std::string_view line) const {
  return fmt::format("<{}>1 {} {}{}", kPriority, time_of(line), origin_, line);
}

Result<void> SyslogCopy::connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& path = socket_.native();
  if (path.size() >= sizeof address.sun_path) return fail(ErrorCode::kInvalid, "its path is too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  const int made = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (made < 0) return storage::system_failure("cannot make a socket for", socket_);
  descriptor_.emplace(made);
  // NOLINTNEXTLINE: the sockets interface is made so
  if (::connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return {};
  auto failure = storage::system_failure("cannot connect to", socket_);
  descriptor_.reset();
  return failure;
}

SyslogCopy::Sent SyslogCopy::send(const std::string& message) {
  if (!descriptor_) {
    if (const Result<void> connected = connect(); !connected) {
      note_outage(connected.error().text);
      return Sent::kNo;
    }
  }
  for (;;) {
    if (::send(descriptor_->get(), message.data(), message.size(), MSG_NOSIGNAL) >= 0) return Sent::kYes;
    if (errno == EINTR) continue;
    if (errno == EMSGSIZE) return Sent::kTooLong;
    if (errno != EAGAIN) break;
    pollfd polled{descriptor_->get(), POLLOUT, 0};
    if (::poll(&polled, 1, static_cast<int>(kPatience.count())) > 0) continue;
    note_outage("it takes no more");
    return Sent::kNo;
  }
  note_outage(storage::system_failure("cannot write to", socket_).error().text);
  descriptor_.reset();
  return Sent::kNo;
}

void SyslogCopy::note_outage(const std::string& why) {
  if (std::exchange(out_, true)) return;
  skipped_at_outage_ = counts_.skipped;
  spdlog::error("the audit log is not copied to the syslog: {}. The log itself is in the store, and service goes on",
                why);
}

void SyslogCopy::note_recovery() {
  out_ = false;
  spdlog::warn("the audit log is copied to the syslog again; {} records were not copied",
               counts_.skipped - skipped_at_outage_);
}

}  // namespace qkms::server
