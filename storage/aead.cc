// See aead.h.
#include "storage/aead.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>

#include <algorithm>
#include <cassert>
#include <vector>

namespace qkms::storage {
namespace {

std::unexpected<Error> library_failure() {
  return fail(ErrorCode::kInternal, "libcrypto refused to seal, open or derive");
}

OSSL_PARAM octets(const char* name, Bytes bytes) {
  // libcrypto takes a mutable pointer and does not write through it.
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

Result<Aead> Aead::make(const SecretBytes& key, Direction direction) {
  assert(key.size() == kAeadKeyBytes);
  Context context(EVP_CIPHER_CTX_new());
  if (!context || EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.reveal().data(), nullptr,
                                    static_cast<int>(direction)) != 1) {
    return library_failure();
  }
  return Aead(std::move(context));
}

Result<void> Aead::seal(Bytes nonce, Bytes associated, Bytes clear, std::uint8_t* text, std::uint8_t* tag) {
  EVP_CIPHER_CTX* const context = context_.get();
  std::array<std::uint8_t, kTagBytes> rest;  // GCM has nothing left to write
  int written = 0;
  const bool done =
      EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data()) == 1 &&
      EVP_EncryptUpdate(context, nullptr, &written, associated.data(), static_cast<int>(associated.size())) == 1 &&
      (clear.empty() ||
       EVP_EncryptUpdate(context, text, &written, clear.data(), static_cast<int>(clear.size())) == 1) &&
      EVP_EncryptFinal_ex(context, rest.data(), &written) == 1 &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag) == 1;
  if (!done) return library_failure();
  return {};
}

Result<SecretBytes> Aead::open(Bytes nonce, Bytes associated, Bytes text, Bytes tag) {
  EVP_CIPHER_CTX* const context = context_.get();
  std::array<std::uint8_t, kTagBytes> expected;
  std::ranges::copy(tag, expected.begin());
  SecretBytes clear(text.size());
  int written = 0;
  const bool done =
      EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data()) == 1 &&
      EVP_DecryptUpdate(context, nullptr, &written, associated.data(), static_cast<int>(associated.size())) == 1 &&
      (text.empty() || EVP_DecryptUpdate(context, clear.reveal_mutable().data(), &written, text.data(),
                                         static_cast<int>(text.size())) == 1) &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, expected.data()) == 1;
  if (!done) return library_failure();
  std::array<std::uint8_t, kTagBytes> rest;
  if (EVP_DecryptFinal_ex(context, rest.data(), &written) != 1) {
    return fail(ErrorCode::kCorrupt, "what is sealed does not open: it was damaged or moved");
  }
  return clear;
}

Result<SecretBytes> derive_key(const SecretBytes& secret, Bytes salt, std::string_view info) {
  struct FreeKdf {
    void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
    void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
  };
  const std::unique_ptr<EVP_KDF, FreeKdf> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  if (!kdf) return library_failure();
  const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context(EVP_KDF_CTX_new(kdf.get()));
  if (!context) return library_failure();
  char digest[] = "SHA256";
  const std::vector<std::uint8_t> info_bytes(info.begin(), info.end());
  const std::array<OSSL_PARAM, 5> parameters{
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0), octets(OSSL_KDF_PARAM_KEY, secret.reveal()),
      octets(OSSL_KDF_PARAM_SALT, salt), octets(OSSL_KDF_PARAM_INFO, info_bytes), OSSL_PARAM_construct_end()};
  SecretBytes key(kAeadKeyBytes);
  if (EVP_KDF_derive(context.get(), key.reveal_mutable().data(), key.size(), parameters.data()) != 1) {
    return library_failure();
  }
  return key;
}

}  // namespace qkms::storage
