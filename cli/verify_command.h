// qkmsctl verify: is the store of a daemon that does not run sound?
#pragma once

#include "cli/commands.h"

namespace qkms::cli {

Command verify_command();

}  // namespace qkms::cli
