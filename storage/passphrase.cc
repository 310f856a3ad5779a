// See passphrase.h. OpenSSL has Argon2 from 3.2 on only, and Debian 12 has 3.0: hence scrypt.
#include "storage/passphrase.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <memory>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "storage/os.h"

namespace qkms::storage {
namespace {

constexpr std::string_view kVersion = "qkms-scrypt-1";
constexpr std::size_t kSaltBytes = 32;
constexpr std::size_t kCheckBytes = 2;
constexpr std::size_t kMaxFileBytes = 256;

// RFC 7914 §2. Memory is 128 * n * r bytes, work is in proportion to n * r * p.
struct Cost {
  std::uint64_t n = 1 << 17, r = 8, p = 1;  // OWASP, Password Storage Cheat Sheet: 128 MiB
  std::uint64_t memory_bytes() const { return 128 * n * r; }
};
constexpr Cost kLeast = {1 << 14, 8, 1};
constexpr Cost kMost = {1 << 20, 32, 16};
constexpr std::uint64_t kMostMemoryBytes = std::uint64_t{1} << 30;

struct Parameters {
  Cost cost;
  std::array<std::uint8_t, kSaltBytes> salt{};
  std::array<std::uint8_t, kCheckBytes> check{};
};

// Cuts "name=value" off the front, and the blank before it.
std::string_view cut_value(std::string_view& text, std::string_view name) {
  const std::string prefix = " " + std::string(name) + "=";
  if (!text.starts_with(prefix)) return {};
  text.remove_prefix(prefix.size());
  const std::string_view value = text.substr(0, text.find(' '));
  text.remove_prefix(value.size());
  return value;
}

bool read_number(std::string_view digits, std::uint64_t least, std::uint64_t most, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return error == std::errc() && end == digits.data() + digits.size() && out >= least && out <= most;
}

bool read_hex(std::string_view digits, std::span<std::uint8_t> out) {
  if (digits.size() != 2 * out.size()) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = hex_value(digits[2 * i]), low = hex_value(digits[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

Result<Parameters> parse(std::string_view text, const std::filesystem::path& file) {
  const auto refuse = [&file](std::string_view why) {
    return fail(ErrorCode::kInvalid, "the passphrase file " + file.string() + " " + std::string(why));
  };
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (!text.starts_with(kVersion)) return refuse("does not begin with " + std::string(kVersion));
  text.remove_prefix(kVersion.size());
  Parameters out;
  Cost& cost = out.cost;
  const bool costs = read_number(cut_value(text, "n"), kLeast.n, kMost.n, cost.n) && std::has_single_bit(cost.n) &&
                     read_number(cut_value(text, "r"), kLeast.r, kMost.r, cost.r) &&
                     read_number(cut_value(text, "p"), kLeast.p, kMost.p, cost.p);
  if (!costs) return refuse("has no n (a power of 2, 16384 to 1048576), r (8 to 32) and p (1 to 16) in it");
  if (cost.memory_bytes() > kMostMemoryBytes) return refuse("asks for more than 1 GiB of memory (128 * n * r bytes)");
  const bool rest = read_hex(cut_value(text, "salt"), out.salt) && read_hex(cut_value(text, "check"), out.check);
  if (!rest || !text.empty()) return refuse("must end in salt= and 64, check= and 4 hexadecimal digits");
  return out;
}

Result<Parameters> read_parameters(const std::filesystem::path& file) {
  const auto bytes = read_regular_file(file, "passphrase file", kMaxFileBytes);
  if (!bytes) return std::unexpected(bytes.error());
  return parse({reinterpret_cast<const char*>(bytes->data()), bytes->size()}, file);
}

std::string text_of(const Parameters& parameters) {
  const Cost& cost = parameters.cost;
  return std::string(kVersion) + " n=" + std::to_string(cost.n) + " r=" + std::to_string(cost.r) +
         " p=" + std::to_string(cost.p) + " salt=" + to_hex(parameters.salt) + " check=" + to_hex(parameters.check) +
         "\n";
}

// The key, and the check behind it. OpenSSL wipes its scratch memory when it gives it back; too large to be locked, it
// could be swapped meanwhile.
Result<SecretBytes> run_scrypt(const SecretBytes& passphrase, const Parameters& parameters) {
  const std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> kdf(EVP_KDF_fetch(nullptr, "SCRYPT", nullptr), EVP_KDF_free);
  const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr,
                                                                          EVP_KDF_CTX_free);
  if (!context) return fail(ErrorCode::kInternal, "OpenSSL has no scrypt");
  Cost cost = parameters.cost;
  std::uint64_t memory = cost.memory_bytes() + 128 * cost.r * cost.p + (1 << 20);  // and what OpenSSL adds
  SecretBytes pass = SecretBytes::copy_of(passphrase.reveal());
  std::array<std::uint8_t, kSaltBytes> salt = parameters.salt;
  const OSSL_PARAM given[] = {
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, pass.reveal_mutable().data(), pass.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt.data(), salt.size()),
      OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &cost.n),
      OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_R, &cost.r),
      OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_P, &cost.p),
      OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory),
      OSSL_PARAM_construct_end()};
  SecretBytes out(kMasterKeyBytes + kCheckBytes);
  if (EVP_KDF_derive(context.get(), out.reveal_mutable().data(), out.size(), given) == 1) return out;
  return fail(ErrorCode::kIo, "scrypt failed: it needs " + std::to_string(memory >> 20) + " MiB of memory");
}

}  // namespace

Result<SecretBytes> PassphraseProvider::fetch(const SecretBytes& typed) const {
  const Result<Parameters> parameters = read_parameters(file_);
  if (!parameters) return std::unexpected(parameters.error());
  if (typed.empty()) return fail(ErrorCode::kUnauthorised, describe() + " must be typed");
  if (typed.size() > kMaxTypedBytes) return fail(ErrorCode::kUnauthorised, describe() + " is not as long as that");
  const Result<SecretBytes> made = run_scrypt(typed, *parameters);
  if (!made) return std::unexpected(made.error());
  if (made->slice(kMasterKeyBytes, kCheckBytes).equals(SecretBytes::copy_of(parameters->check))) {
    return made->slice(0, kMasterKeyBytes);
  }
  return fail(ErrorCode::kUnauthorised, "what was typed is not " + describe());
}

Result<void> PassphraseProvider::check() const {
  const Result<Parameters> parameters = read_parameters(file_);
  if (!parameters) return std::unexpected(parameters.error());
  return {};
}

Result<void> PassphraseProvider::create(const SecretBytes& typed) const {
  if (typed.size() < kMinPassphraseBytes || typed.size() > kMaxTypedBytes) {
    return fail(ErrorCode::kInvalid, "a passphrase has " + std::to_string(kMinPassphraseBytes) + " to " +
                                         std::to_string(kMaxTypedBytes) + " bytes");
  }
  Parameters parameters;
  if (Result<void> drawn = fill_random(parameters.salt); !drawn) return drawn;
  const Result<SecretBytes> made = run_scrypt(typed, parameters);
  if (!made) return std::unexpected(made.error());
  std::ranges::copy(made->reveal().subspan(kMasterKeyBytes), parameters.check.begin());
  const std::string text = text_of(parameters);
  return create_file(file_, "passphrase file", {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

}  // namespace qkms::storage
