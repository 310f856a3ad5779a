// qkmsctl conformance: runs the checks against a KME of any vendor and reports.
#pragma once

#include "cli/commands.h"

namespace qkms::cli::conformance {

Command conformance_command();

}  // namespace qkms::cli::conformance
