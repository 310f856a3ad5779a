// Time as the engine knows it: milliseconds on one clock that never runs backwards and goes on over restarts. It is not
// wall time.
#pragma once

#include <cstdint>

namespace qkms {

using Millis = std::int64_t;

}  // namespace qkms
