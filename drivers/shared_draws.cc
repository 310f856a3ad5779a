#include "drivers/shared_draws.h"

#include <openssl/evp.h>

#include <cassert>
#include <memory>
#include <utility>

namespace qkms::drivers {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// Out of memory is the only way in which these calls of libcrypto fail; there is nothing to go on with then.
void require(int outcome) { assert(outcome == 1); }

std::array<std::uint8_t, 8> big_endian(std::uint64_t value) {
  std::array<std::uint8_t, 8> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
  return bytes;
}

void hash_text(EVP_MD_CTX* context, std::string_view text) {
  const auto size = big_endian(text.size());  // so that no two lists of texts hash alike
  require(EVP_DigestUpdate(context, size.data(), size.size()));
  require(EVP_DigestUpdate(context, text.data(), text.size()));
}

}  // namespace

SharedDraws::SharedDraws(LinkId link, std::string seed) : link_(std::move(link)), seed_(std::move(seed)) {}

SharedDraws::Digest SharedDraws::digest(std::string_view what, std::uint64_t number, std::uint64_t part) const {
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  assert(context != nullptr);
  require(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr));
  hash_text(context.get(), "qkms simulated link");
  hash_text(context.get(), what);
  hash_text(context.get(), seed_);
  hash_text(context.get(), link_.str());
  for (const std::uint64_t value : {number, part}) {
    const auto bytes = big_endian(value);
    require(EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()));
  }
  Digest result;
  require(EVP_DigestFinal_ex(context.get(), result.data(), nullptr));
  return result;
}

double SharedDraws::uniform(std::string_view what, std::uint64_t number, std::uint64_t part) const {
  const Digest drawn = digest(what, number, part);
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < 8; ++i) bits = bits << 8 | drawn[i];
  return static_cast<double>(bits >> 11) * 0x1p-53;  // as many bits as a double holds
}

}  // namespace qkms::drivers
