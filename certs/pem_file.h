// Certificates, revocation lists and private keys from PEM files. Every error names the file. A file that somebody else
// than this user and root may change is refused: it decides whom we trust. A private file that others can read or that
// is a symbolic link is refused too: what it holds is not a secret that we can vouch for. A public file may be a link,
// as certificate managers make them.
#pragma once

#include <filesystem>
#include <vector>

#include "base/error.h"
#include "base/secret.h"
#include "certs/openssl.h"

namespace qkms::certs {

inline constexpr std::size_t kMaxPemBytes = 1 << 20;
// About 250 000 revoked certificates, as in the lists of a whole government. To read one takes about 0.7 s and leaves
// 40 MB in memory, once per context; revocation.h keeps its size out of the handshakes.
inline constexpr std::size_t kMaxCrlBytes = 16 << 20;

// All of a regular file, which must not be empty nor larger than `max_bytes`.
Result<SecretBytes> read_file(const std::filesystem::path& file, std::size_t max_bytes = kMaxPemBytes);
// The same for a file that only its owner may read: this user or root.
Result<SecretBytes> read_private_file(const std::filesystem::path& file);

// Makes a file that only its owner may read, or that everybody may; never overwrites one.
Result<void> write_private_file(const std::filesystem::path& file, std::span<const std::uint8_t> bytes);
Result<void> write_public_file(const std::filesystem::path& file, std::span<const std::uint8_t> bytes);

// All certificates of a file, at least one, in its order.
Result<std::vector<X509Ptr>> load_certificates(const std::filesystem::path& file);
// All certificate revocation lists of a file, at least one, in its order. Nothing in them has been checked.
Result<std::vector<CrlPtr>> load_crls(const std::filesystem::path& file);
// An unencrypted private key.
Result<KeyPtr> load_private_key(const std::filesystem::path& file);

}  // namespace qkms::certs
