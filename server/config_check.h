// What no single option can know: that names refer to something, that numbers fit each other, that no two things share
// a name or a port. Turns the draft into the configuration.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "server/config_table.h"

namespace qkms::server {

// Everything that is wrong with a file, by line.
class Problems {
 public:
  void add(int line, std::string text) { found_.emplace(line, std::move(text)); }
  bool empty() const { return found_.empty(); }
  // One a line, "NAME:LINE: text", in the order of the file; at most kShown of them.
  std::string text(std::string_view name) const;

  static constexpr std::size_t kShown = 50;

 private:
  std::multimap<int, std::string> found_;  // equal lines keep the order they came in
};

// Where things are in the file: "keys.life_ms", "links[0]", "links[0].peer" to a line. What the file leaves out is not
// in it.
using Lines = std::map<std::string, int, std::less<>>;

// Reports what does not fit, and fills Config's policy, peers, links and fingerprints from the draft's lists.
Config finish(Draft draft, const Lines& lines, Problems& problems);

}  // namespace qkms::server
