// The options of drivers that talk to a device over TLS: the tables [links.<driver>].
#pragma once

#include <vector>

#include "drivers/tls_settings.h"
#include "server/config.h"
#include "server/options.h"

namespace qkms::server {

// The file names and the rest of a TLS connection to a device, but for where it is: every driver says that in its own
// way.
std::vector<Option> device_tls_options(drivers::TlsSettings& to);

std::vector<Option> etsi014_options(LinkConfig& to);
std::vector<Option> etsi004_options(drivers::Etsi004Settings& to);

}  // namespace qkms::server
