// What an operator types and nobody else may see: a passphrase, a PIN. From a terminal without echo, else one line of
// standard input, for scripts.
#pragma once

#include <string_view>

#include "base/error.h"
#include "base/secret.h"
#include "storage/master_key.h"

namespace qkms::cli {

// One line, without its newline, of 1 to storage::kMaxTypedBytes bytes. `prompt` is shown on a terminal (as standard
// error). Blocks until the line is there. Reads no byte behind the newline, so it may be called again for
// the next line. kInvalid: nothing, or too much, was typed. kIo: the terminal does not let its echo be turned off.
Result<SecretBytes> read_typed_secret(std::string_view prompt);

// The same twice on a terminal, and both must be equal; standard input is asked once.
Result<SecretBytes> read_new_secret(std::string_view prompt);

// What `provider` wants typed: nothing when it needs no operator.
Result<SecretBytes> typed_for(const storage::MasterKeyProvider& provider);

}  // namespace qkms::cli
