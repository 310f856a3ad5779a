// The master key and where it comes from. The keyring is wrapped under it (storage/keyring.h), so losing it loses the
// store's key bits, and whoever has it and the keyring reads them. docs/operations/master-key.md says which provider
// is for whom.
#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "base/secret.h"
#include "storage/master_key_source.h"

namespace qkms::storage {

inline constexpr std::size_t kMasterKeyBytes = 32;

// The longest passphrase or PIN that anything takes.
inline constexpr std::size_t kMaxTypedBytes = 1024;

// Thread rule: any thread, and several at once; nothing is kept between calls.
class MasterKeyProvider {
 public:
  virtual ~MasterKeyProvider() = default;

  // kMasterKeyBytes. `typed` is what an operator typed (a passphrase, a PIN) and empty when nobody did; providers that
  // need nothing do not look at it. kUnauthorised: something must be typed, or what was typed is wrong. kNotFound: what
  // the configuration names is not there. Blocks: a second for a passphrase, as long as it likes for a token.
  virtual Result<SecretBytes> fetch(const SecretBytes& typed) const = 0;

  // For logs, the audit log and sentences: "the file /etc/qkms/master.key". Never a secret.
  virtual std::string describe() const = 0;

  // What an operator has to type, as a prompt says it: "passphrase", "PIN". Empty: nothing, fetch() works without one.
  // The daemon of a provider that needs an operator starts sealed and waits for `qkmsctl unseal`.
  virtual std::string asks_for() const = 0;
  bool needs_operator() const { return !asks_for().empty(); }

  // Whether a later fetch() may succeed, as far as can be told without anything typed. Blocks like fetch().
  virtual Result<void> check() const = 0;

  // Makes the key (for a passphrase: what goes with it) where there is none yet; what is there is never touched.
  // `typed` is a new passphrase, or the PIN of the token.
  virtual Result<void> create(const SecretBytes& typed) const = 0;
};

// kInvalid: a name or URI that no provider can mean. Opens nothing.
Result<std::unique_ptr<MasterKeyProvider>> make_master_key_provider(const MasterKeySource& source);

}  // namespace qkms::storage
