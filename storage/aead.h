// The two functions of libcrypto that everything sealed here rests on: AES-256-GCM (NIST SP 800-38D) and HKDF-SHA-256
// (RFC 5869).
//
// What would surprise: an Aead does the key schedule once and is then used for many texts; it does not count nonces.
// Concurrency: one thread.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/secret.h"

namespace qkms::storage {

inline constexpr std::size_t kAeadKeyBytes = 32;
inline constexpr std::size_t kNonceBytes = 12;
inline constexpr std::size_t kTagBytes = 16;

using Bytes = std::span<const std::uint8_t>;

class Aead {
 public:
  enum class Direction : int { kOpen = 0, kSeal = 1 };
  // `key` is kAeadKeyBytes long.
  static Result<Aead> make(const SecretBytes& key, Direction direction);

  // `text` takes as many bytes as `clear` has. The nonce must be new for this key.
  Result<void> seal(Bytes nonce, Bytes associated, Bytes clear, std::uint8_t* text, std::uint8_t* tag);
  // kCorrupt when any of it is not what was sealed.
  Result<SecretBytes> open(Bytes nonce, Bytes associated, Bytes text, Bytes tag);

 private:
  struct FreeContext {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;
  explicit Aead(Context context) : context_(std::move(context)) {}

  Context context_;
};

// 32 bytes of HKDF-SHA-256.
Result<SecretBytes> derive_key(const SecretBytes& secret, Bytes salt, std::string_view info);

}  // namespace qkms::storage
