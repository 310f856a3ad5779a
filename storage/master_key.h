// The master key's file: who may have it, what may be in it. Every data key of a store is derived from the master key
// (storage/sealer.h), so losing the file loses the store's key bits, and whoever reads it and the store reads them.
#pragma once

#include <filesystem>

#include "base/error.h"
#include "base/secret.h"

namespace qkms::storage {

inline constexpr std::size_t kMasterKeyBytes = 32;

// The file holds 32 bytes, or 64 hexadecimal digits and at most one newline. It must be a regular file (no symbolic
// link, directory, FIFO or device) of the user that runs this process, closed to group and others. Never blocks, and
// reads no more than it needs.
Result<SecretBytes> read_master_key(const std::filesystem::path& file);

// Draws a key and writes it as 64 digits and a newline, mode 0600. An existing file is never touched.
Result<void> create_master_key(const std::filesystem::path& file);

}  // namespace qkms::storage
