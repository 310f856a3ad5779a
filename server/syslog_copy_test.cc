#include "server/syslog_copy.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <regex>

#include "api/audit_line.h"
#include "storage/scratch_folder.h"

namespace qkms::server {
namespace {

using std::chrono::seconds;

// A syslog: a datagram socket that is there, or not.
class Listener {
 public:
  explicit Listener(const std::filesystem::path& path) : path_(path) {
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.native().size());
    EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() {
    ::close(socket_);
    std::filesystem::remove(path_);
  }
  // The next message; empty: none came.
  std::string next() const {
    std::string text(1 << 18, '\0');
    const ssize_t got = ::recv(socket_, text.data(), text.size(), 0);
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, got)));
    return text;
  }

 private:
  std::filesystem::path path_;
  int socket_ = -1;
};

// A log in memory with the lines that the store would have.
class Log {
 public:
  void append(std::string reason = "") {
    const std::lock_guard lock(mutex_);
    const api::AuditRecord record{.action = api::AuditAction::kStart, .actor = "KME-A", .reason = std::move(reason)};
    lines_.push_back(api::audit_line({lines_.size() + 1, "2026-11-28T09:59:59.042Z", "KME-A", {}}, record));
  }
  void drop_up_to(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    dropped_ = number;
  }
  std::string line(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    return lines_.at(number - 1);
  }
  SyslogCopy::Read reader() {
    return [this](std::uint64_t first, std::size_t bytes) -> Result<storage::AuditPage> {
      const std::lock_guard lock(mutex_);
      storage::AuditPage page;
      page.last.sequence = lines_.size();
      std::size_t size = 0;
      for (std::uint64_t at = std::max(first, dropped_ + 1); at <= lines_.size() && size < bytes; ++at) {
        page.lines.push_back(lines_[at - 1]);
        size += lines_[at - 1].size();
      }
      return page;
    };
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> lines_;
  std::uint64_t dropped_ = 0;
};

class ASyslogCopy : public ::testing::Test {
 protected:
  static bool wait_for(const std::function<bool()>& condition) {
    const auto until = std::chrono::steady_clock::now() + seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }
  static std::string record_in(const std::string& message) {
    const std::size_t at = message.find('{');
    return at == std::string::npos ? message : message.substr(at);
  }

  storage::ScratchFolder folder;
  std::filesystem::path socket = folder.path() / "log";
  Log log;
  SyslogCopy copy{socket, log.reader()};
};

TEST_F(ASyslogCopy, HasEachRecordFromItsStartOn) {
  const Listener listener(socket);
  for (int i = 0; i < 3; ++i) log.append();
  copy.start(1);
  const std::string message = listener.next();
  // RFC 5424 §6: priority and version, time, host, program, process, kind, no structured data.
  EXPECT_TRUE(std::regex_match(
      message, std::regex(R"(<85>1 2026-11-28T09:59:59\.042Z [!-~]+ qkmsd [0-9]+ audit - \{"n":2,.*\})")))
      << message;
  EXPECT_EQ(record_in(message), log.line(2));
  EXPECT_EQ(record_in(listener.next()), log.line(3));
  log.append();
  EXPECT_EQ(record_in(listener.next()), log.line(4));
  log.append();
  copy.finish(log.reader());
  EXPECT_EQ(record_in(listener.next()), log.line(5));
  EXPECT_EQ(copy.counts().copied, 4u);
}

TEST_F(ASyslogCopy, GoesOnAfterAnOutageWithWhatTheStoreStillHas) {
  for (int i = 0; i < 200; ++i) log.append();
  copy.start(0);
  ASSERT_TRUE(wait_for([&] { return copy.counts().waiting == 200; })) << "nobody listens, and it knows what waits";
  log.drop_up_to(150);
  const Listener listener(socket);
  for (std::uint64_t number = 151; number <= 200; ++number) EXPECT_EQ(record_in(listener.next()), log.line(number));
  EXPECT_TRUE(wait_for([&] { return copy.counts().waiting == 0; }));
  EXPECT_EQ(copy.counts().copied, 50u);
  EXPECT_EQ(copy.counts().skipped, 150u);
}

TEST_F(ASyslogCopy, FindsANewListenerAtTheSamePlace) {
  copy.start(0);
  for (int i = 1; i <= 3; ++i) {
    const Listener listener(socket);
    log.append();
    EXPECT_EQ(record_in(listener.next()), log.line(static_cast<std::uint64_t>(i)));
  }
}

TEST_F(ASyslogCopy, EndsThoughNobodyTakesIt) {
  const Listener full(socket);
  for (int i = 0; i < 5000; ++i) log.append();
  copy.start(0);
  ASSERT_TRUE(wait_for([&] { return copy.counts().copied > 0; }));
  copy.finish(log.reader());
  EXPECT_GT(copy.counts().waiting, 0u);
}

}  // namespace
}  // namespace qkms::server
