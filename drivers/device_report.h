// What a device says of itself, as far as it does.
#pragma once

#include <optional>
#include <string>

namespace qkms::drivers {

struct DeviceReport {
  std::optional<double> qber;      // 0 to 0.5
  std::optional<double> rate_bps;  // secret bits a second that the device makes
  std::string alarm;               // empty: none; else a sentence for the operator
  bool operator==(const DeviceReport&) const = default;
};

}  // namespace qkms::drivers
