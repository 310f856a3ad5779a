// The log: one JSON object a line on stderr. Whatever is logged comes out as valid JSON in one line, so no input can
// forge a line. Never log key bits, nor anything made of them.
#pragma once

#include "server/config.h"

namespace qkms::server {

// Makes it spdlog's default logger.
void start_log(LogLevel level);
void set_log_level(LogLevel level);

}  // namespace qkms::server
