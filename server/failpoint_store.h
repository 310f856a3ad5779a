// Where the failpoints lie that a look at a transaction's contents tells apart (base/failpoint.h).
#pragma once

#include <memory>

#include "kms/store.h"

namespace qkms::server {

// In what ships: the same store. In tests' daemons: one that reaches failpoints before and after each commit.
std::unique_ptr<kms::Store> with_failpoints(std::unique_ptr<kms::Store> store);

}  // namespace qkms::server
