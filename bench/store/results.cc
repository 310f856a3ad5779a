// See results.h.
#include "bench/store/results.h"

#include <fmt/format.h>

namespace qkms::bench {

// Names and contestants are our own and need no escapes.
Results& Results::row(std::string_view scenario, std::string_view who) {
  rows_.push_back(fmt::format(R"({{"scenario":"{}","who":"{}")", scenario, who));
  return *this;
}

Results& Results::number(std::string_view name, double value) {
  append(name, fmt::format("{:.9g}", value));
  return *this;
}

Results& Results::numbers(std::string_view name, const std::vector<double>& values) {
  std::string list;
  for (const double value : values) list += fmt::format("{}{:.9g}", list.empty() ? "" : ",", value);
  append(name, "[" + list + "]");
  return *this;
}

void Results::append(std::string_view name, const std::string& value) {
  rows_.back() += fmt::format(R"(,"{}":{})", name, value);
}

std::string Results::json() const {
  std::string all;
  for (const std::string& row : rows_) all += (all.empty() ? "\n" : ",\n") + row + "}";
  return "[" + all + "\n]";
}

}  // namespace qkms::bench
