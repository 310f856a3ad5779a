// See sealer.h. A blob: version (1 byte), data key id (4, big-endian), nonce (12), ciphertext, tag (16).
#include "storage/sealer.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>

#include <algorithm>
#include <cassert>

namespace qkms::storage {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kNonceAt = 5;
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTextAt = kNonceAt + kNonceBytes;
constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kOverheadBytes = kTextAt + kTagBytes;
constexpr std::size_t kDataKeyBytes = 32;
constexpr std::size_t kMaxOpeningContexts = 64;
constexpr std::string_view kDataKeyInfo = "qkms store data key 1";

std::unexpected<Error> library_failure() {
  return fail(ErrorCode::kInternal, "libcrypto refused to seal or open a row");
}

template <class T>
void append_big_endian(std::vector<std::uint8_t>& out, T value) {
  for (int shift = 8 * (sizeof(T) - 1); shift >= 0; shift -= 8)
    out.push_back(static_cast<std::uint8_t>(value >> shift));
}

DataKeyId data_key_of(std::span<const std::uint8_t> sealed) {
  DataKeyId id = 0;
  for (std::size_t i = 1; i < kNonceAt; ++i) id = id << 8 | sealed[i];
  return id;
}

OSSL_PARAM octets(const char* name, std::span<const std::uint8_t> bytes) {
  // libcrypto takes a mutable pointer and does not write through it.
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(bytes.data()), bytes.size());
}

// RFC 5869, with SHA-256.
Result<SecretBytes> derive_data_key(const SecretBytes& master_key, const Salt& salt) {
  struct FreeKdf {
    void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
    void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
  };
  const std::unique_ptr<EVP_KDF, FreeKdf> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  if (!kdf) return library_failure();
  const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context(EVP_KDF_CTX_new(kdf.get()));
  if (!context) return library_failure();
  char digest[] = "SHA256";
  const std::vector<std::uint8_t> info(kDataKeyInfo.begin(), kDataKeyInfo.end());
  const std::array<OSSL_PARAM, 5> parameters{OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                                             octets(OSSL_KDF_PARAM_KEY, master_key.reveal()),
                                             octets(OSSL_KDF_PARAM_SALT, salt), octets(OSSL_KDF_PARAM_INFO, info),
                                             OSSL_PARAM_construct_end()};
  SecretBytes key(kDataKeyBytes);
  if (EVP_KDF_derive(context.get(), key.reveal_mutable().data(), key.size(), parameters.data()) != 1) {
    return library_failure();
  }
  return key;
}

}  // namespace

AssociatedData& AssociatedData::text(std::string_view value) {
  // Characters may be looked at as bytes.
  return bytes({reinterpret_cast<const std::uint8_t*>(value.data()), value.size()});
}

AssociatedData& AssociatedData::bytes(std::span<const std::uint8_t> value) {
  append_big_endian(bytes_, static_cast<std::uint32_t>(value.size()));
  bytes_.insert(bytes_.end(), value.begin(), value.end());
  return *this;
}

AssociatedData& AssociatedData::number(std::uint64_t value) {
  append_big_endian(bytes_, value);
  return *this;
}

// The key schedule is done here, once; each blob then only sets its nonce.
Result<Sealer::Context> Sealer::make_context(const Salt& salt, Direction direction) const {
  Result<SecretBytes> key = derive_data_key(master_key_, salt);
  if (!key) return std::unexpected(key.error());
  Context context(EVP_CIPHER_CTX_new());
  if (!context || EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key->reveal().data(), nullptr,
                                    static_cast<int>(direction)) != 1) {
    return library_failure();
  }
  return context;
}

Result<void> Sealer::seal_under(DataKeyId id, const Salt& fresh_salt) {
  Result<Context> context = make_context(fresh_salt, Direction::kSeal);
  if (!context) return std::unexpected(context.error());
  add_data_key(id, fresh_salt);
  sealing_ = std::move(*context);
  sealing_id_ = id;
  next_nonce_ = 0;
  return {};
}

Result<EVP_CIPHER_CTX*> Sealer::opening_context(DataKeyId id) {
  if (const auto found = opening_.find(id); found != opening_.end()) return found->second.get();
  const auto salt = salts_.find(id);
  if (salt == salts_.end()) return fail(ErrorCode::kCorrupt, "a sealed row names a data key that is not there");
  Result<Context> context = make_context(salt->second, Direction::kOpen);
  if (!context) return std::unexpected(context.error());
  if (opening_.size() >= kMaxOpeningContexts) opening_.clear();
  return opening_.emplace(id, std::move(*context)).first->second.get();
}

Result<Sealed> Sealer::seal(const AssociatedData& place, std::span<const std::uint8_t> clear) {
  assert(sealing_);
  Sealed sealed;
  sealed.reserve(clear.size() + kOverheadBytes);
  sealed.push_back(kVersion);
  append_big_endian(sealed, sealing_id_);
  append_big_endian(sealed, std::uint32_t{0});
  append_big_endian(sealed, next_nonce_++);
  sealed.resize(clear.size() + kOverheadBytes);
  EVP_CIPHER_CTX* context = sealing_.get();
  std::uint8_t* const text = sealed.data() + kTextAt;
  const int clear_size = static_cast<int>(clear.size());
  int written = 0;
  const bool done =
      EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, sealed.data() + kNonceAt) == 1 &&
      EVP_EncryptUpdate(context, nullptr, &written, place.view().data(), static_cast<int>(place.view().size())) == 1 &&
      (clear.empty() || EVP_EncryptUpdate(context, text, &written, clear.data(), clear_size) == 1) &&
      EVP_EncryptFinal_ex(context, text + clear.size(), &written) == 1 &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, text + clear.size()) == 1;
  if (!done) return library_failure();
  return sealed;
}

Result<SecretBytes> Sealer::open(const AssociatedData& place, std::span<const std::uint8_t> sealed) {
  if (sealed.size() < kOverheadBytes) return fail(ErrorCode::kCorrupt, "a sealed row is too short");
  if (sealed[0] != kVersion) return fail(ErrorCode::kCorrupt, "a sealed row has an unknown version");
  Result<EVP_CIPHER_CTX*> context = opening_context(data_key_of(sealed));
  if (!context) return std::unexpected(context.error());
  const std::size_t size = sealed.size() - kOverheadBytes;
  std::array<std::uint8_t, kTagBytes> tag;
  std::ranges::copy(sealed.last(kTagBytes), tag.begin());
  SecretBytes clear(size);
  std::uint8_t* const out = clear.reveal_mutable().data();
  int written = 0;
  const bool done =
      EVP_DecryptInit_ex(*context, nullptr, nullptr, nullptr, sealed.data() + kNonceAt) == 1 &&
      EVP_DecryptUpdate(*context, nullptr, &written, place.view().data(), static_cast<int>(place.view().size())) == 1 &&
      (size == 0 || EVP_DecryptUpdate(*context, out, &written, sealed.data() + kTextAt, static_cast<int>(size)) == 1) &&
      EVP_CIPHER_CTX_ctrl(*context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1;
  if (!done) return library_failure();
  std::array<std::uint8_t, kTagBytes> rest;  // GCM has nothing left to write
  if (EVP_DecryptFinal_ex(*context, rest.data(), &written) != 1) {
    return fail(ErrorCode::kCorrupt, "a sealed row does not open: it was damaged or moved");
  }
  return clear;
}

}  // namespace qkms::storage
