// Options of the configuration file from the tables that drivers have of their settings.
#pragma once

#include <vector>

#include "drivers/model_settings.h"
#include "server/options.h"

namespace qkms::server {

// The settings' targets must outlive the options.
std::vector<Option> options_of(const std::vector<drivers::Setting>& settings);

}  // namespace qkms::server
