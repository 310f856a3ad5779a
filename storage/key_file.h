// A master key in a file: who may have it, what may be in it (threat T37). A credential of systemd is such a file too.
#pragma once

#include <filesystem>

#include "base/error.h"
#include "base/secret.h"
#include "storage/master_key.h"

namespace qkms::storage {

// The file holds 32 bytes, or 64 hexadecimal digits and at most one newline. It must be a regular file (no symbolic
// link, directory, FIFO or device) of the user that runs this process, closed to group and others. Never blocks, and
// reads no more than it needs.
Result<SecretBytes> read_key_file(const std::filesystem::path& file);

// Draws a key and writes it as 64 digits and a newline, mode 0600. An existing file is never touched.
Result<void> create_key_file(const std::filesystem::path& file);

// file:PATH
class KeyFileProvider final : public MasterKeyProvider {
 public:
  explicit KeyFileProvider(std::filesystem::path file) : file_(std::move(file)) {}
  Result<SecretBytes> fetch(const SecretBytes&) const override { return read_key_file(file_); }
  std::string describe() const override { return "the file " + file_.string(); }
  std::string asks_for() const override { return ""; }
  Result<void> check() const override;

 private:
  std::filesystem::path file_;
};

}  // namespace qkms::storage
