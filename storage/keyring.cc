// See keyring.h. The file: a header in clear (magic, version, store ID, salt, proof), then the body sealed under a key
// that the master key and the salt give. Every writing draws a fresh salt, so no wrapping key is used twice, and the
// nonce can be 0.
#include "storage/keyring.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/failpoint.h"
#include "storage/aead.h"
#include "storage/big_endian.h"
#include "storage/os.h"

namespace qkms::storage {
namespace {

constexpr std::string_view kMagic = "qkmsring";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kStoreIdAt = 12;
constexpr std::size_t kSaltAt = kStoreIdAt + sizeof(StoreId);
constexpr std::size_t kSaltBytes = 32;
constexpr std::size_t kProofAt = kSaltAt + kSaltBytes;
constexpr std::size_t kProofBytes = 32;
constexpr std::size_t kBodyAt = kProofAt + kProofBytes;
constexpr std::string_view kWrapInfo = "qkms keyring wrap 1";
constexpr std::string_view kProofInfo = "qkms keyring proof 1";

constexpr std::size_t kEntriesAt = kCensusKeyBytes + kAeadKeyBytes + 12;
constexpr std::size_t kEntryBytes = 4 + kAeadKeyBytes;
constexpr std::size_t kMaxFileBytes = 64 << 20;

constexpr std::array<std::uint8_t, kNonceBytes> kNoNonce{};

std::unexpected<Error> refuse(ErrorCode code, const std::filesystem::path& file, std::string_view why) {
  return fail(code, "the keyring " + file.string() + " " + std::string(why));
}

std::unexpected<Error> damaged(const std::filesystem::path& file) {
  return refuse(ErrorCode::kCorrupt, file, "is damaged: put its latest copy in its place");
}

Result<SecretBytes> random_secret(std::size_t size) {
  SecretBytes secret(size);
  if (Result<void> drawn = fill_random(secret.reveal_mutable()); !drawn) return std::unexpected(drawn.error());
  return secret;
}

}  // namespace

Result<std::unique_ptr<Keyring>> Keyring::create(const std::filesystem::path& file, SecretBytes master_key) {
  std::unique_ptr<Keyring> ring(new Keyring(file, std::move(master_key)));
  if (Result<void> drawn = fill_random(ring->store_id_); !drawn) return std::unexpected(drawn.error());
  Result<SecretBytes> census_key = random_secret(kCensusKeyBytes);
  if (!census_key) return std::unexpected(census_key.error());
  Result<SecretBytes> root_key = random_secret(kAeadKeyBytes);
  if (!root_key) return std::unexpected(root_key.error());
  ring->census_key_ = std::move(*census_key);
  ring->root_key_ = std::move(*root_key);
  return ring;
}

Result<std::unique_ptr<Keyring>> Keyring::read(const std::filesystem::path& file, SecretBytes master_key) {
  const Result<std::vector<std::uint8_t>> content = read_regular_file(file, "keyring", kMaxFileBytes);
  if (!content) return std::unexpected(content.error());
  const Bytes bytes(*content);
  if (bytes.size() < kBodyAt + kTagBytes || !std::ranges::equal(bytes.first(kMagic.size()), kMagic)) {
    return refuse(ErrorCode::kCorrupt, file, "is no keyring: put its latest copy in its place");
  }
  if (const auto version = get_big_endian<std::uint32_t>(bytes.subspan(kMagic.size())); version != kVersion) {
    return refuse(ErrorCode::kInvalid, file, "has format " + std::to_string(version) + "; this qkms knows 1");
  }
  const Bytes salt = bytes.subspan(kSaltAt, kSaltBytes);
  const Result<SecretBytes> proof = derive_key(master_key, salt, kProofInfo);
  if (!proof) return std::unexpected(proof.error());
  if (!std::ranges::equal(proof->reveal(), bytes.subspan(kProofAt, kProofBytes))) {
    return refuse(ErrorCode::kInvalid, file,
                  "and the master key do not fit: it is not the one that this store was sealed with");
  }
  const Result<SecretBytes> wrapping_key = derive_key(master_key, salt, kWrapInfo);
  if (!wrapping_key) return std::unexpected(wrapping_key.error());
  Result<Aead> wrap = Aead::make(*wrapping_key, Aead::Direction::kOpen);
  if (!wrap) return std::unexpected(wrap.error());
  const Bytes body = bytes.subspan(kBodyAt, bytes.size() - kBodyAt - kTagBytes);
  const Result<SecretBytes> clear = wrap->open(kNoNonce, bytes.first(kBodyAt), body, bytes.last(kTagBytes));
  if (!clear) return damaged(file);
  std::unique_ptr<Keyring> ring(new Keyring(file, std::move(master_key)));
  std::ranges::copy(bytes.subspan(kStoreIdAt, sizeof(StoreId)), ring->store_id_.begin());
  if (Result<void> decoded = ring->decode(*clear); !decoded) return std::unexpected(decoded.error());
  return ring;
}

Result<EpochId> Keyring::begin_epoch() {
  if (last_epoch_ == std::numeric_limits<EpochId>::max()) {
    return refuse(ErrorCode::kInternal, file_, "has used up its epochs");
  }
  Result<SecretBytes> key = random_secret(kAeadKeyBytes);
  if (!key) return std::unexpected(key.error());
  const EpochId epoch = ++last_epoch_;  // stays used, whatever becomes of the file
  keys_.emplace(epoch, std::move(*key));
  if (Result<void> written = write({}, head_epoch_); !written) {
    keys_.erase(epoch);
    return std::unexpected(written.error());
  }
  return epoch;
}

Result<void> Keyring::change_master_key(SecretBytes master_key) {
  if (master_key.equals(master_key_) && !in_doubt_) {
    return fail(ErrorCode::kInvalid, "it is the master key that is in use already");
  }
  SecretBytes before = std::exchange(master_key_, std::move(master_key));
  const Result<void> written = write({}, head_epoch_);
  if (written) return {};
  // Only the file tells whether that was before or after the new one was in place.
  if (read(file_, SecretBytes::copy_of(before.reveal()))) {
    master_key_ = std::move(before);
    return written;
  }
  in_doubt_ = true;
  return fail(written.error().code,
              "the keyring is wrapped under the new master key, but may not be after a power cut: "
              "either of the two master keys may be in force: keep both, and ask again (" +
                  written.error().text + ")");
}

Result<void> Keyring::destroy(const std::set<EpochId>& epochs, EpochId head_epoch) {
  if (Result<void> written = write(epochs, head_epoch); !written) return written;
  head_epoch_ = head_epoch;
  for (const EpochId epoch : epochs) keys_.erase(epoch);
  return {};
}

const SecretBytes* Keyring::key_of(EpochId epoch) const {
  const auto found = keys_.find(epoch);
  return found == keys_.end() ? nullptr : &found->second;
}

std::set<EpochId> Keyring::epochs() const {
  std::set<EpochId> all;
  for (const auto& [epoch, key] : keys_) all.insert(epoch);
  return all;
}

SecretBytes Keyring::encode(const std::set<EpochId>& without, EpochId head_epoch) const {
  const auto kept = static_cast<std::uint32_t>(
      std::ranges::count_if(keys_, [&without](const auto& entry) { return !without.contains(entry.first); }));
  SecretBytes body(kEntriesAt + kept * kEntryBytes);
  std::span<std::uint8_t> out = body.reveal_mutable();
  std::ranges::copy(census_key_.reveal(), out.begin());
  std::ranges::copy(root_key_.reveal(), out.begin() + kCensusKeyBytes);
  put_big_endian(out.subspan(kEntriesAt - 12), last_epoch_);
  put_big_endian(out.subspan(kEntriesAt - 8), head_epoch);
  put_big_endian(out.subspan(kEntriesAt - 4), kept);
  out = out.subspan(kEntriesAt);
  for (const auto& [epoch, key] : keys_) {
    if (without.contains(epoch)) continue;
    put_big_endian(out, epoch);
    std::ranges::copy(key.reveal(), out.begin() + 4);
    out = out.subspan(kEntryBytes);
  }
  return body;
}

// What was sealed is what encode() wrote; a body of another length is a mistake of ours all the same not worth an
// abort.
Result<void> Keyring::decode(const SecretBytes& body) {
  if (body.size() < kEntriesAt || (body.size() - kEntriesAt) % kEntryBytes != 0) return damaged(file_);
  const Bytes in = body.reveal();
  census_key_ = body.slice(0, kCensusKeyBytes);
  root_key_ = body.slice(kCensusKeyBytes, kAeadKeyBytes);
  last_epoch_ = get_big_endian<EpochId>(in.subspan(kEntriesAt - 12));
  head_epoch_ = get_big_endian<EpochId>(in.subspan(kEntriesAt - 8));
  if (get_big_endian<std::uint32_t>(in.subspan(kEntriesAt - 4)) != (body.size() - kEntriesAt) / kEntryBytes) {
    return damaged(file_);
  }
  for (std::size_t at = kEntriesAt; at < body.size(); at += kEntryBytes) {
    keys_.emplace(get_big_endian<EpochId>(in.subspan(at)), body.slice(at + 4, kAeadKeyBytes));
  }
  return {};
}

Result<void> Keyring::write(const std::set<EpochId>& without, EpochId head_epoch) {
  std::array<std::uint8_t, kSaltBytes> salt{};
  if (Result<void> drawn = fill_random(salt); !drawn) return drawn;
  const Result<SecretBytes> proof = derive_key(master_key_, salt, kProofInfo);
  if (!proof) return std::unexpected(proof.error());
  const Result<SecretBytes> wrapping_key = derive_key(master_key_, salt, kWrapInfo);
  if (!wrapping_key) return std::unexpected(wrapping_key.error());
  Result<Aead> wrap = Aead::make(*wrapping_key, Aead::Direction::kSeal);
  if (!wrap) return std::unexpected(wrap.error());

  std::vector<std::uint8_t> out(kMagic.begin(), kMagic.end());
  append_big_endian(out, kVersion);
  out.insert(out.end(), store_id_.begin(), store_id_.end());
  out.insert(out.end(), salt.begin(), salt.end());
  out.insert(out.end(), proof->reveal().begin(), proof->reveal().end());
  const SecretBytes body = encode(without, head_epoch);
  out.resize(kBodyAt + body.size() + kTagBytes);
  const Result<void> sealed = wrap->seal(kNoNonce, Bytes(out).first(kBodyAt), body.reveal(), out.data() + kBodyAt,
                                         out.data() + kBodyAt + body.size());
  if (!sealed) return sealed;
  if (at_failpoint(Failpoint::kKeyringBeforeWrite) != Fault::kNone) return fail(ErrorCode::kIo, "a failpoint");
  Result<void> replaced = replace_file(file_, out);
  if (replaced) in_doubt_ = false;
  if (at_failpoint(Failpoint::kKeyringAfterWrite) != Fault::kNone) return fail(ErrorCode::kIo, "a failpoint");
  return replaced;
}

}  // namespace qkms::storage
