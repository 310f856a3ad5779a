// Small files that hold a secret, a master key or a PIN: who may have them (threat T37). Everything is decided on the
// open descriptor, so that nobody can swap the file between a check and the read. Never blocks: a FIFO is refused.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/secret.h"

namespace qkms::storage {

// The content, 1 to `limit` bytes, of a regular file (no symbolic link, directory, FIFO or device) of the user that
// runs this process, closed to group and others. `what` names it in errors: "master key file".
Result<SecretBytes> read_secret_file(const std::filesystem::path& file, const std::string& what, std::size_t limit);

// The same for a credential of systemd (systemd.exec(5), LoadCredential=), a file in $CREDENTIALS_DIRECTORY. That
// belongs to this user or to root, who then lets this user read it by an ACL, which shows as the group's right to read.
Result<SecretBytes> read_credential(const std::string& name, const std::string& what, std::size_t limit);

// A file name and no path: what systemd accepts as a credential's name.
bool is_credential_name(std::string_view name);

}  // namespace qkms::storage
