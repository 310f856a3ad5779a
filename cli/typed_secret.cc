// See typed_secret.h. Bytes are read one by one with read(): stdio would keep a copy in its buffer.
#include "cli/typed_secret.h"

#include <fmt/format.h>
#include <poll.h>
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

// Turns the echo of a terminal off, and on again whatever happens: a signal that would end this program ends the
// waiting first. Such signals come while wait_for_byte() waits and at no other time, so that none is missed just before
// it.
class Silence {
 public:
  explicit Silence(int terminal) : terminal_(terminal) {
    if (::tcgetattr(terminal_, &before_) != 0) return;
    sigset_t stops;
    sigemptyset(&stops);
    struct sigaction note{};
    note.sa_handler = [](int signal) { stopped_by = signal; };
    for (std::size_t i = 0; i < kStops.size(); ++i) {
      sigaddset(&stops, kStops[i]);
      ::sigaction(kStops[i], &note, &actions_[i]);
    }
    ::sigprocmask(SIG_BLOCK, &stops, &mask_);
    handles_ = true;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL);
    silent_ = ::tcsetattr(terminal_, TCSAFLUSH, &silent) == 0;
  }
  ~Silence() {
    if (!handles_) return;
    if (silent_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
    for (std::size_t i = 0; i < kStops.size(); ++i) ::sigaction(kStops[i], &actions_[i], nullptr);
    ::sigprocmask(SIG_SETMASK, &mask_, nullptr);
    if (stopped_by != 0) ::raise(stopped_by);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

  bool silent() const { return silent_; }
  const sigset_t& mask_before() const { return mask_; }

 private:
  int terminal_;
  termios before_{};
  sigset_t mask_{};
  std::array<struct sigaction, kStops.size()> actions_{};
  bool handles_ = false, silent_ = false;
};

// False: a signal said to stop. `mask` is in force while it waits.
bool wait_for_byte(int from, const sigset_t* mask) {
  pollfd ready{from, POLLIN, 0};
  while (::ppoll(&ready, 1, nullptr, mask) < 0) {
    if (stopped_by != 0 || errno != EINTR) return false;
  }
  return true;
}

Result<SecretBytes> read_line(int from, const sigset_t* mask) {
  SecretBytes line(storage::kMaxTypedBytes), next(1);
  for (std::size_t size = 0;;) {
    if (!wait_for_byte(from, mask)) return fail(ErrorCode::kIo, "nobody types any more");
    const ssize_t got = ::read(from, next.reveal_mutable().data(), 1);
    if (got < 0 && errno == EINTR) continue;
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
  Result<SecretBytes> line = read_line(STDIN_FILENO, &silence.mask_before());
  fmt::print(stderr, "\n");
  return line;
}

}  // namespace

Result<SecretBytes> read_typed_secret(std::string_view prompt) {
  return ::isatty(STDIN_FILENO) == 1 ? read_from_terminal(prompt) : read_line(STDIN_FILENO, nullptr);
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
