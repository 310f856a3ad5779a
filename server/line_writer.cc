#include "server/line_writer.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace qkms::server {
namespace {

// A pipe that poll() calls writable takes this much without waiting (pipe(7): PIPE_BUF).
constexpr std::size_t kPiece = 4096;

}  // namespace

bool LineWriter::takes_more(std::chrono::milliseconds patience) const {
  pollfd polled{descriptor_, POLLOUT, 0};
  int ready = 0;
  do {
    ready = ::poll(&polled, 1, static_cast<int>(patience.count()));
  } while (ready < 0 && errno == EINTR);
  return ready != 0;  // an error will show when we write
}

// One piece. A socket, as of a service manager, can be asked not to wait; for everything else poll() has to do: we
// share the descriptor with others and must not make it one that does not wait.
LineWriter::Outcome LineWriter::write_some(std::string_view text, std::size_t& written) const {
  if (!takes_more(std::chrono::milliseconds(0))) return Outcome::kNoRoom;
  const std::string_view piece = text.substr(0, kPiece);
  ssize_t done = 0;
  do {
    done = ::send(descriptor_, piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done < 0 && errno == ENOTSOCK) done = ::write(descriptor_, piece.data(), piece.size());
  } while (done < 0 && errno == EINTR);
  if (done < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Outcome::kNoRoom : Outcome::kFailed;
  written += static_cast<std::size_t>(done);
  return Outcome::kWritten;
}

void LineWriter::lose(std::uint64_t lines) {
  not_told_ += lines;
  lost_ += lines;
}

// What cannot be written at all, as to a full disk, is lost: it would be as bad later, and newer lines say more.
void LineWriter::write_waiting() {
  std::size_t written = 0;
  Outcome outcome = Outcome::kWritten;
  while (written < waiting_.size() && outcome == Outcome::kWritten)
    outcome = write_some(std::string_view(waiting_).substr(written), written);
  waiting_.erase(0, written);
  if (outcome != Outcome::kFailed) return;
  lose(static_cast<std::uint64_t>(std::ranges::count(waiting_, '\n')));
  waiting_.clear();
}

void LineWriter::write(std::string_view line) {
  write_waiting();
  const std::string told = not_told_ > 0 ? apology_(not_told_) : "";
  if (waiting_.size() + told.size() + line.size() > kMostWaiting) return lose(1);
  not_told_ = 0;
  waiting_ += told;
  waiting_ += line;
  write_waiting();
}

void LineWriter::finish(std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  write_waiting();
  while (!waiting_.empty()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left <= std::chrono::milliseconds(0) || !takes_more(left)) return;
    write_waiting();
  }
}

}  // namespace qkms::server
