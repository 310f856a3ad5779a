// qkmsctl: the operator's tool. Exit status: 0 done, 1 it did not work, 2 the command line is wrong.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>

#include "base/process_guard.h"
#include "base/text.h"
#include "cli/commands.h"

namespace qkms::cli {
namespace {

constexpr int kDone = 0, kFailed = 1, kUsage = 2;

std::string help() {
  std::string out =
      "qkmsctl: the operator's tool of qkms.\n\nusage: qkmsctl COMMAND [options]\n       qkmsctl COMMAND --help\n"
      "       qkmsctl --version\n\ncommands:\n";
  for (const auto& command : commands()) out += fmt::format("  {:<18} {}\n", command.name, command.sentence);
  return out;
}

std::string help_for(const Command& command) {
  std::string usage = fmt::format("usage: qkmsctl {}", command.name);
  if (!command.arguments.options.empty()) usage += " [options]";
  for (const auto name : command.arguments.positional) usage += fmt::format(" {}", name);
  const std::string options = describe(command.arguments);
  return fmt::format("{}\n\n{}\n{}{}", command.sentence, usage, options.empty() ? "" : "\noptions:\n", options);
}

bool asks_for_help(const std::string& word) { return word == "--help" || word == "-h"; }

int run_command(const Command& command, std::span<const std::string> words) {
  if (std::ranges::any_of(words, asks_for_help)) {
    fmt::print("{}", help_for(command));
    return kDone;
  }
  const auto wrong = [&command](const Error& error) {
    fmt::print(stderr, "qkmsctl {}: {}\ntry: qkmsctl {} --help\n", command.name, error.text, command.name);
    return kUsage;
  };
  const auto arguments = parse_arguments(command.arguments, words);
  if (!arguments) return wrong(arguments.error());
  if (command.accepts) {
    if (const auto accepted = command.accepts(*arguments); !accepted) return wrong(accepted.error());
  }
  if (const auto done = command.run(*arguments); !done) {
    fmt::print(stderr, "qkmsctl {}: {}\n", command.name, done.error().text);
    return kFailed;
  }
  return kDone;
}

int run(std::span<const std::string> words) {
  if (words.empty()) {
    fmt::print(stderr, "{}", help());
    return kUsage;
  }
  if (asks_for_help(words[0]) || words[0] == "help") {
    fmt::print("{}", help());
    return kDone;
  }
  if (words[0] == "--version") {
    fmt::print("qkmsctl {}\n", QKMS_VERSION);
    return kDone;
  }
  const auto all = commands();
  const auto command = std::ranges::find(all, std::string_view(words[0]), &Command::name);
  if (command != all.end()) return run_command(*command, words.subspan(1));
  fmt::print(stderr, "qkmsctl: unknown command \"{}\"\ntry: qkmsctl --help\n", printable(words[0]));
  return kUsage;
}

}  // namespace
}  // namespace qkms::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);   // a daemon that hangs up is an error to report, not an end
  if (!qkms::protect_process()) {  // master keys and, in a conformance run, keys pass here
    std::fprintf(stderr, "qkmsctl: the system does not let this process protect its memory\n");
    return 1;
  }
  try {
    const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
    const int status = qkms::cli::run(words);
    if (std::fflush(stdout) == 0) return status;
    std::perror("qkmsctl: standard output");
  } catch (const std::exception& error) {  // memory, or standard output gone
    std::fprintf(stderr, "qkmsctl: %s\n", error.what());
  }
  return 1;
}
