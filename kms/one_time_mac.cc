#include "kms/one_time_mac.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cassert>
#include <cstdlib>
#include <memory>

namespace qkms::kms {
namespace {

EVP_MAC* poly1305() {
  static EVP_MAC* const mac = EVP_MAC_fetch(nullptr, "POLY1305", nullptr);
  return mac;
}

// OpenSSL fails here only when it has no memory or no Poly1305 at all; no key may be accepted then.
void require(int ok) {
  if (ok != 1) std::abort();
}

}  // namespace

api::Tag128 block_tag(const BlockId& id, std::span<const std::uint8_t> bits) {
  assert(bits.size() > kOneTimeKeyBytes);
  const std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> context(EVP_MAC_CTX_new(poly1305()),
                                                                          &EVP_MAC_CTX_free);
  const auto size = static_cast<std::uint32_t>(bits.size());
  std::array<std::uint8_t, 4> length{};
  for (std::size_t i = 0; i < length.size(); ++i) length[i] = static_cast<std::uint8_t>(size >> (8 * i));
  const auto rest = bits.subspan(kOneTimeKeyBytes);
  api::Tag128 tag{};
  std::size_t tag_size = 0;
  require(context != nullptr);
  require(EVP_MAC_init(context.get(), bits.data(), kOneTimeKeyBytes, nullptr));
  require(EVP_MAC_update(context.get(), id.bytes().data(), id.bytes().size()));
  require(EVP_MAC_update(context.get(), length.data(), length.size()));
  require(EVP_MAC_update(context.get(), rest.data(), rest.size()));
  require(EVP_MAC_final(context.get(), tag.data(), &tag_size, tag.size()));
  return tag;
}

bool tags_equal(const api::Tag128& a, const api::Tag128& b) { return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

}  // namespace qkms::kms
