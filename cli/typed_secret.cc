// See typed_secret.h. Bytes are read one by one with read(): stdio would keep a copy in its buffer.
#include "cli/typed_secret.h"

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

namespace qkms::cli {
namespace {

volatile std::sig_atomic_t stopped_by = 0;

constexpr std::array kStops = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};

// Turns the echo of a terminal off, and on again whatever happens: a signal that would end this program meanwhile ends
// the waiting first.
class Silence {
 public:
  explicit Silence(int terminal) : terminal_(terminal) {
    if (::tcgetattr(terminal_, &before_) != 0) return;
    struct sigaction note{};
    note.sa_handler = [](int signal) { stopped_by = signal; };
    for (std::size_t i = 0; i < kStops.size(); ++i) ::sigaction(kStops[i], &note, &actions_[i]);
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL);
    silent_ = ::tcsetattr(terminal_, TCSAFLUSH, &silent) == 0;
    handles_ = true;
  }
  ~Silence() {
    if (silent_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
    for (std::size_t i = 0; handles_ && i < kStops.size(); ++i) ::sigaction(kStops[i], &actions_[i], nullptr);
    if (stopped_by != 0) ::raise(stopped_by);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;
  bool silent() const { return silent_; }

 private:
  int terminal_;
  termios before_{};
  std::array<struct sigaction, kStops.size()> actions_{};
  bool handles_ = false, silent_ = false;
};

Result<SecretBytes> read_line(int from) {
  SecretBytes line(storage::kMaxTypedBytes), next(1);
  for (std::size_t size = 0;;) {
    const ssize_t got = ::read(from, next.reveal_mutable().data(), 1);
    if (got < 0 && errno == EINTR && stopped_by == 0) continue;
    if (got < 0) return fail(ErrorCode::kIo, "cannot read what is typed");
    if (got == 0 || next.reveal()[0] == '\n') {
      if (size == 0) return fail(ErrorCode::kInvalid, "nothing was typed");
      return line.slice(0, size);
    }
    if (size == line.size()) return fail(ErrorCode::kInvalid, fmt::format("more than {} bytes were typed", size));
    line.reveal_mutable()[size++] = next.reveal()[0];
  }
}

Result<SecretBytes> read_from_terminal(std::string_view prompt) {
  const Silence silence(STDIN_FILENO);
  if (!silence.silent()) return fail(ErrorCode::kIo, "the terminal's echo cannot be turned off");
  fmt::print(stderr, "{}: ", prompt);
  std::fflush(stderr);
  Result<SecretBytes> line = read_line(STDIN_FILENO);
  fmt::print(stderr, "\n");
  return line;
}

}  // namespace

Result<SecretBytes> read_typed_secret(std::string_view prompt) {
  return ::isatty(STDIN_FILENO) == 1 ? read_from_terminal(prompt) : read_line(STDIN_FILENO);
}

Result<SecretBytes> read_new_secret(std::string_view prompt) {
  Result<SecretBytes> first = read_typed_secret(prompt);
  if (!first || ::isatty(STDIN_FILENO) != 1) return first;
  const Result<SecretBytes> second = read_typed_secret("the same again");
  if (!second) return std::unexpected(second.error());
  if (!first->equals(*second)) return fail(ErrorCode::kInvalid, "the two are not the same");
  return first;
}

Result<SecretBytes> typed_for(const storage::MasterKeyProvider& provider) {
  if (!provider.needs_operator()) return SecretBytes();
  return read_typed_secret(fmt::format("{} of {}", provider.asks_for(), provider.describe()));
}

}  // namespace qkms::cli
