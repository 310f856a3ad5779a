// `qkmsctl link list|show|test`: what a daemon says of its links, for people.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace qkms::cli {

// Asks the daemon; its answer's body.
using AskForLinks = std::function<Result<std::string>(std::string_view method, std::string_view path)>;

// `what` is list, show or test; `link` is a name, not needed for list. Prints what it has to say.
Result<void> link(std::string_view what, const std::string& link, const AskForLinks& ask);

// The daemon's answer to GET /links as a table, one link a line, and one link whole. kCorrupt: it is no such answer.
// kNotFound: no such link.
Result<std::string> link_table(std::string_view json);
Result<std::string> link_details(std::string_view json, std::string_view link);

}  // namespace qkms::cli
