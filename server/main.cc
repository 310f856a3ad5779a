// qkmsd: the command line, the process's own protections, and signals. Everything else is in daemon.cc.
#include <fmt/format.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <span>
#include <string_view>

#include "base/process_guard.h"
#include "base/secret.h"
#include "certs/wall_clock.h"
#include "server/clock_keeper.h"
#include "server/config.h"
#include "server/daemon.h"
#include "server/exit_code.h"
#include "server/log.h"
#include "server/os_random.h"
#include "server/version.h"

namespace qkms::server {
namespace {

constexpr std::string_view kHelpText =
    R"(qkmsd: the key management daemon of a QKD site

  qkmsd --config FILE         run, in the foreground
  qkmsd check --config FILE   check the configuration and the files it names, without starting
  qkmsd --version
  qkmsd --help

SIGTERM and SIGINT stop it: requests under way are finished first.
SIGHUP reloads the configuration and the files it names; when something is wrong, all stays as it was.
Exit codes: 0 stopped, 64 wrong command line, 70 internal error, 74 input/output error,
75 the store is in use by another process, 78 the configuration has to be corrected.
)";

enum class Action { kRun, kCheck, kVersion, kHelp, kWrong };

struct CommandLine {
  Action action = Action::kWrong;
  std::string_view config;
};

CommandLine parse(std::span<char* const> arguments) {
  const auto at = [&](std::size_t index) { return std::string_view(arguments[index]); };
  if (arguments.size() == 2 && at(1) == "--version") return {Action::kVersion, ""};
  if (arguments.size() == 2 && at(1) == "--help") return {Action::kHelp, ""};
  if (arguments.size() == 3 && at(1) == "--config") return {Action::kRun, at(2)};
  if (arguments.size() == 4 && at(1) == "check" && at(2) == "--config") return {Action::kCheck, at(3)};
  return {};
}

void print(std::FILE* to, std::string_view text) { std::fwrite(text.data(), 1, text.size(), to); }

int exit_with(ExitCode code) { return static_cast<int>(code); }

int complain(ExitCode code, std::string_view text) {
  print(stderr, fmt::format("qkmsd: {}\n", text));
  return exit_with(code);
}

// Signals are taken by sigwait in main alone; so they are blocked before any thread is made.
sigset_t block_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// Before certificates are looked at.
Result<void> know_the_time(const Config& config) {
  const auto floor = ClockKeeper(ClockKeeper::file_in(config.state_dir)).start(ClockKeeper::read_clocks());
  if (!floor) return std::unexpected(floor.error());
  certs::raise_floor(*floor);
  return {};
}

int run(std::string_view file) {
  ::umask(077);  // no file that others may read
  if (!protect_process()) return complain(ExitCode::kIo, "the system does not let this process protect its memory");
  if (!OsRandom::works())
    return complain(ExitCode::kIo, "the operating system gives no random bytes: no keys are safe");
  const sigset_t signals = block_signals();
  auto config = read_config(file);
  if (!config) return complain(ExitCode::kConfig, config.error().text);
  if (auto made = make_state_dir(*config); !made) return complain(made.error().code, made.error().text);
  if (auto known = know_the_time(*config); !known) return complain(ExitCode::kConfig, known.error().text);
  if (auto files = check_files(*config); !files) return complain(ExitCode::kConfig, files.error().text);
  start_log(config->log_level);
  spdlog::info("qkmsd {} starts", kVersion);
  auto daemon = Daemon::start(std::move(*config), file, [] { ::kill(::getpid(), SIGTERM); });
  if (!daemon) {
    finish_log();
    return complain(daemon.error().code, daemon.error().text);
  }
  wipe_traces();  // this thread opened the store, and will sleep until the end
  int signal = SIGHUP;
  while (signal == SIGHUP) {
    sigwait(&signals, &signal);
    if (signal == SIGHUP) (*daemon)->reload("SIGHUP", [](const Reloader::Outcome&) {});  // the log says how it went
  }
  spdlog::info("stopping");
  (*daemon)->stop();
  finish_log();
  return exit_with((*daemon)->dead() ? ExitCode::kIo : ExitCode::kOk);
}

int check(std::string_view file) {
  const auto config = read_config(file);
  if (!config) return complain(ExitCode::kConfig, config.error().text);
  if (auto known = know_the_time(*config); !known) return complain(ExitCode::kConfig, known.error().text);
  if (auto files = check_files(*config); !files) return complain(ExitCode::kConfig, files.error().text);
  print(stdout, fmt::format("{}: this configuration of KME {} is good\n", file, config->id.str()));
  return exit_with(ExitCode::kOk);
}

int main_of(std::span<char* const> arguments) {
  const CommandLine line = parse(arguments);
  switch (line.action) {
    case Action::kVersion:
      print(stdout, fmt::format("qkmsd {}\n", kVersion));
      return exit_with(ExitCode::kOk);
    case Action::kHelp:
      print(stdout, kHelpText);
      return exit_with(ExitCode::kOk);
    case Action::kCheck:
      return check(line.config);
    case Action::kRun:
      return run(line.config);
    case Action::kWrong:
      break;
  }
  print(stderr, kHelpText);
  return exit_with(ExitCode::kUsage);
}

}  // namespace
}  // namespace qkms::server

int main(int count, char** arguments) {
  try {
    return qkms::server::main_of({arguments, static_cast<std::size_t>(count)});
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "qkmsd: internal error: %s\n", exception.what());
    return static_cast<int>(qkms::server::ExitCode::kInternal);
  }
}
