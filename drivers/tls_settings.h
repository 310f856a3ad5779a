// Where a device listens, and who is who there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "certs/rules.h"

namespace qkms::drivers {

struct TlsSettings {
  std::string host;  // a name or an IP address, IPv6 without brackets
  std::uint16_t port = 443;
  std::string server_name;            // what the device's certificate must be good for; empty: the host
  std::filesystem::path certificate;  // PEM, leaf first: ours
  std::filesystem::path key;          // PEM, readable by nobody but the owner
  std::filesystem::path ca;           // PEM bundle that the device's chain must end in
  std::filesystem::path crl;          // PEM, the CAs' revocation lists; empty: revocation is not looked at
  certs::TlsMinimum minimum = certs::TlsMinimum::k1_3;
  std::uint32_t connect_ms = 5'000;
  std::uint32_t handshake_ms = 5'000;
  bool operator==(const TlsSettings&) const = default;
};

}  // namespace qkms::drivers
