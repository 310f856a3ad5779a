// See master_key.h.
#include "storage/master_key.h"

#include "storage/key_file.h"

namespace qkms::storage {

Result<std::unique_ptr<MasterKeyProvider>> make_master_key_provider(const MasterKeySource& source) {
  if (source.place.empty()) return fail(ErrorCode::kInvalid, "no master key is named");
  switch (source.scheme) {
    case MasterKeySource::Scheme::kFile:
      return std::make_unique<KeyFileProvider>(source.place);
    case MasterKeySource::Scheme::kCredential:
    case MasterKeySource::Scheme::kPassphrase:
    case MasterKeySource::Scheme::kPkcs11:
      break;
  }
  return fail(ErrorCode::kInvalid, "not yet: " + text_of(source));
}

}  // namespace qkms::storage
