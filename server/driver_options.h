// The options of drivers that talk to a device over TLS: tables of their own, so that config_table.cc stays short.
#pragma once

#include <vector>

#include "drivers/etsi004/etsi004.h"
#include "drivers/tls_settings.h"
#include "server/options.h"

namespace qkms::server {

// The targets must outlive the options.
std::vector<Option> device_tls_options(drivers::TlsSettings& to);
std::vector<Option> etsi004_options(drivers::Etsi004Settings& to);

}  // namespace qkms::server
