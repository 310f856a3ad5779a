// The operating system's random bits, through OpenSSL's generator for private values.
#pragma once

#include <openssl/rand.h>

#include <cassert>

#include "kms/random.h"

namespace qkms::server {

class OsRandom final : public kms::Random {
 public:
  static bool works() { return RAND_status() == 1; }

  void fill(std::span<std::uint8_t> out) override {
    // Without randomness there are no keys: better no daemon.
    const int done = RAND_priv_bytes(out.data(), static_cast<int>(out.size()));
    assert(done == 1);
    static_cast<void>(done);
  }
};

}  // namespace qkms::server
