// A master key that stands in a file, or in a credential of systemd: file:PATH and credential:NAME (threat T37).
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "storage/master_key.h"

namespace qkms::storage {

// The file holds 32 bytes, or 64 hexadecimal digits and at most one newline, and nobody but this user may have it
// (secret_file.h).
Result<SecretBytes> read_key_file(const std::filesystem::path& file);

// Draws a key and writes it as 64 digits and a newline, mode 0600. An existing file is never touched.
Result<void> create_key_file(const std::filesystem::path& file);

class KeyFileProvider final : public MasterKeyProvider {
 public:
  explicit KeyFileProvider(std::filesystem::path file) : file_(std::move(file)) {}
  Result<SecretBytes> fetch(const SecretBytes&) const override { return read_key_file(file_); }
  std::string describe() const override { return "the file " + file_.string(); }
  std::string asks_for() const override { return ""; }
  Result<void> check() const override;
  Result<void> create(const SecretBytes&) const override { return create_key_file(file_); }

 private:
  std::filesystem::path file_;
};

class CredentialProvider final : public MasterKeyProvider {
 public:
  explicit CredentialProvider(std::string name) : name_(std::move(name)) {}
  Result<SecretBytes> fetch(const SecretBytes&) const override;
  std::string describe() const override { return "the credential " + name_; }
  std::string asks_for() const override { return ""; }
  Result<void> check() const override;
  Result<void> create(const SecretBytes&) const override;

 private:
  std::string name_;
};

}  // namespace qkms::storage
