// How long to wait before the next attempt to connect: doubling from 100 ms to 10 s, with jitter so that sites that
// lost each other together do not come back in step.
#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace qkms::server::peer {

class Backoff {
 public:
  static constexpr std::chrono::milliseconds kFirst{100};
  static constexpr std::chrono::milliseconds kLongest{10'000};

  void reset() { next_ = kFirst; }

  // Between a half and the whole of the present step.
  template <class Generator>
  std::chrono::milliseconds take(Generator& random) {
    const auto step = next_.count();
    next_ = std::min(next_ * 2, kLongest);
    return std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(step / 2, step)(random));
  }

 private:
  std::chrono::milliseconds next_ = kFirst;
};

}  // namespace qkms::server::peer
