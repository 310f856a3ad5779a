// What an operator reads of the links: JSON for GET /links, which `qkmsctl link` shows as a table.
#pragma once

#include <string>
#include <vector>

#include "drivers/link_watch.h"
#include "kms/event.h"

namespace qkms::server {

// An array of objects, one a link that the engine or a driver knows, in the order of their names.
// docs/operations/links.md says what the members mean.
std::string links_json(const std::vector<drivers::LinkStatus>& links, const std::vector<kms::LinkReport>& reports);

}  // namespace qkms::server
