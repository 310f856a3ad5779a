// qkmsctl audit: the audit log of a running daemon, or an export of it in a file. docs/audit.md is for its users.
#pragma once

#include <functional>
#include <string_view>

#include "cli/arguments.h"

namespace qkms::cli {

// An answer's body to a GET of the daemon's operator listener.
using AskDaemon = std::function<Result<std::string>(std::string_view path)>;

// "tail" prints the last --lines records, "export" all from --from on, "verify" follows the chain of all there are and
// says where it breaks. With --file, "verify" needs no daemon and `ask` is not called.
Result<void> audit(const Arguments& arguments, const AskDaemon& ask);

}  // namespace qkms::cli
