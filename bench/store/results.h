// What was measured, as rows of named values; printed as one JSON object at the end. bench/store.py makes medians,
// ratios and pictures of it.
//
// Thread rule: as a plain value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qkms::bench {

class Results {
 public:
  // The values that follow belong to a new row.
  Results& row(std::string_view scenario, std::string_view who);
  Results& number(std::string_view name, double value);
  Results& numbers(std::string_view name, const std::vector<double>& values);

  std::string json() const;

 private:
  void append(std::string_view name, const std::string& value);

  std::vector<std::string> rows_;  // without their closing braces
};

}  // namespace qkms::bench
