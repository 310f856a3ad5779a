// qkmsctl new-master-key: makes what kme.master_key names.
#pragma once

#include "cli/commands.h"

namespace qkms::cli {

Command new_master_key_command();

}  // namespace qkms::cli
