// See master_key.h.
#include "storage/master_key.h"

#include "storage/key_file.h"
#include "storage/passphrase.h"
#include "storage/pkcs11.h"
#include "storage/secret_file.h"

namespace qkms::storage {

Result<std::unique_ptr<MasterKeyProvider>> make_master_key_provider(const MasterKeySource& source) {
  if (source.place.empty()) return fail(ErrorCode::kInvalid, "no master key is named");
  switch (source.scheme) {
    case MasterKeySource::Scheme::kFile:
      return std::make_unique<KeyFileProvider>(source.place);
    case MasterKeySource::Scheme::kCredential:
      if (is_credential_name(source.place)) return std::make_unique<CredentialProvider>(source.place);
      return fail(ErrorCode::kInvalid, text_of(source) + ": not the name of a credential, which is a file's name");
    case MasterKeySource::Scheme::kPassphrase:
      return std::make_unique<PassphraseProvider>(source.place);
    case MasterKeySource::Scheme::kPkcs11:
      return make_pkcs11_provider(text_of(source));
  }
  return fail(ErrorCode::kInternal, "a scheme without a provider");
}

}  // namespace qkms::storage
