// What a fuzz target claims about its input's result: a broken claim ends the run as a crash, with the input saved.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace qkms::fuzz {

inline void require(bool claim, const char* what) {
  if (claim) return;
  std::fprintf(stderr, "broken claim: %s\n", what);
  std::abort();
}

}  // namespace qkms::fuzz
