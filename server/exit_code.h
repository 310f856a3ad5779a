// The exit codes of qkmsd, after sysexits.h, so that a service manager can tell what helps.
#pragma once

#include <string>

namespace qkms::server {

enum class ExitCode : int {
  kOk = 0,
  kUsage = 64,     // the command line
  kInternal = 70,  // our own mistake
  kIo = 74,        // the operating system or the store: a file, a port, a disk; also a commit whose outcome is unknown
  kBusy = 75,      // another process has the store: trying again later may help
  kConfig = 78,    // the configuration or a file that it names has to be corrected
};

// Why the daemon did not start.
struct StartFailure {
  ExitCode code = ExitCode::kInternal;
  std::string text;
};

}  // namespace qkms::server
