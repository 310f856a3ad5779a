// A master key that is made from a passphrase, by scrypt (RFC 7914), each time that an operator types it:
// passphrase:PATH. What goes with it stands in the file PATH, one line:
//
//     qkms-scrypt-1 n=131072 r=8 p=1 salt=<64 hexadecimal digits> check=<4 hexadecimal digits>
//
// scrypt makes 34 bytes: the key and the check. The check is there to notice a slip of the hand before a keyring is
// wrapped under it; 16 bits do for that, and confirm no guess to whoever has the file alone. The keyring does confirm
// guesses, so the passphrase must stand up to them: it has kMinPassphraseBytes at least.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "storage/master_key.h"

namespace qkms::storage {

// NIST SP 800-63B-4 §3.1.1.2, for a password that stands alone.
inline constexpr std::size_t kMinPassphraseBytes = 15;

class PassphraseProvider final : public MasterKeyProvider {
 public:
  explicit PassphraseProvider(std::filesystem::path file) : file_(std::move(file)) {}
  Result<SecretBytes> fetch(const SecretBytes& typed) const override;
  std::string describe() const override { return "the passphrase of " + file_.string(); }
  std::string asks_for() const override { return "passphrase"; }
  Result<void> check() const override;
  Result<void> create(const SecretBytes& typed) const override;

 private:
  std::filesystem::path file_;
};

}  // namespace qkms::storage
