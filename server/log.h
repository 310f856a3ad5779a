// The log: one JSON object a line on stderr. Whatever is logged comes out as valid JSON in one line, so no input can
// forge a line. Never log key bits, nor anything made of them.
//
// Whoever reads it may hang: the daemon goes on, lines wait for a while, and then they are lost and counted
// (server/line_writer.h). Concurrency: any thread.
#pragma once

#include <cstdint>

#include "server/config.h"

namespace qkms::server {

// Makes it spdlog's default logger.
void start_log(LogLevel level);
void set_log_level(LogLevel level);
// Lines that wait for their reader, if there are any: from time to time, since there may be no further line.
void write_waiting_log();
// Before the process ends: waits for the reader a second at most.
void finish_log();
// Lines that nobody got.
std::uint64_t log_lines_lost();

}  // namespace qkms::server
