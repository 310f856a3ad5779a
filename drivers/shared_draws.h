// Numbers that both ends of a simulated link draw alike, with no word between them: from the link's name and seed, by
// SHA-256, without a state. NOT SECRET for whoever knows the seed. Any thread may draw.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/id.h"

namespace qkms::drivers {

class SharedDraws {
 public:
  using Digest = std::array<std::uint8_t, 32>;

  SharedDraws(LinkId link, std::string seed);

  Digest digest(std::string_view what, std::uint64_t number, std::uint64_t part) const;
  // 0 to 1, without 1.
  double uniform(std::string_view what, std::uint64_t number, std::uint64_t part = 0) const;

 private:
  LinkId link_;
  std::string seed_;
};

}  // namespace qkms::drivers
