// What time it is when certificates and revocation lists are judged. The wall clock, unless it cannot be right: then
// the floor, a time that has certainly been reached. Whoever turns the clock back makes no certificate valid again that
// had expired by then.
//
// The floor is the day of the build, or what raise_floor() said; from there it goes on with CLOCK_BOOTTIME, which
// nobody can set. One for the process, as the clock is. ADR 0018. Thread rule: any thread.
#pragma once

#include <cstdint>

namespace qkms::certs {

// Seconds since 1970.
std::int64_t judged_time();

// It is this late at least. Never lowers the floor.
void raise_floor(std::int64_t unix_s);

// How many seconds the wall clock is behind the floor; 0: it may be right.
std::int64_t seconds_behind_floor();

}  // namespace qkms::certs
