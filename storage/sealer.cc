// See sealer.h. A blob: version (1 byte), epoch (4, big-endian), nonce (12), tag (16), for a lasting seal its salt
// (32), ciphertext.
#include "storage/sealer.h"

#include <algorithm>
#include <cassert>

#include "storage/big_endian.h"
#include "storage/os.h"

namespace qkms::storage {
namespace {

constexpr std::uint8_t kUnderEpoch = 2;  // 1 was the format of stores before there were epochs
constexpr std::uint8_t kLasting = 3;
constexpr std::size_t kEpochAt = 1;
constexpr std::size_t kNonceAt = 5;
constexpr std::size_t kTagAt = kNonceAt + kNonceBytes;
constexpr std::size_t kMaxOpening = 64;
constexpr std::string_view kLastingInfo = "qkms store lasting key 2";

Bytes nonce_of(Bytes sealed) { return sealed.subspan(kNonceAt, kNonceBytes); }

// Header and extra bytes, with room for the text behind them and none of it filled but version, epoch and nonce.
Sealed begin_blob(std::uint8_t version, EpochId epoch, std::uint64_t nonce, Bytes extra, std::size_t text_size) {
  Sealed sealed;
  sealed.reserve(kSealHeaderBytes + extra.size() + text_size);
  sealed.push_back(version);
  append_big_endian(sealed, epoch);
  append_big_endian(sealed, std::uint32_t{0});
  append_big_endian(sealed, nonce);
  sealed.resize(kSealHeaderBytes);
  sealed.insert(sealed.end(), extra.begin(), extra.end());
  sealed.resize(kSealHeaderBytes + extra.size() + text_size);
  return sealed;
}

}  // namespace

EpochId epoch_of(Bytes header) {
  return header.size() < kSealHeaderBytes ? 0 : get_big_endian<EpochId>(header.subspan(kEpochAt));
}

Bytes tag_of(Bytes header) { return header.size() < kSealHeaderBytes ? Bytes() : header.subspan(kTagAt, kTagBytes); }

AssociatedData& AssociatedData::text(std::string_view value) {
  // Characters may be looked at as bytes.
  return bytes({reinterpret_cast<const std::uint8_t*>(value.data()), value.size()});
}

AssociatedData& AssociatedData::bytes(Bytes value) {
  append_big_endian(bytes_, static_cast<std::uint32_t>(value.size()));
  bytes_.insert(bytes_.end(), value.begin(), value.end());
  return *this;
}

AssociatedData& AssociatedData::number(std::uint64_t value) {
  append_big_endian(bytes_, value);
  return *this;
}

Result<void> Sealer::seal_under(EpochId fresh_epoch) {
  const SecretBytes* const key = keyring_.key_of(fresh_epoch);
  assert(key != nullptr && fresh_epoch > epoch_);
  Result<Aead> sealing = Aead::make(*key, Aead::Direction::kSeal);
  if (!sealing) return std::unexpected(sealing.error());
  sealing_ = std::move(*sealing);
  epoch_ = fresh_epoch;
  next_nonce_ = sealed_bytes_ = 0;
  return {};
}

Result<Sealed> Sealer::seal(const AssociatedData& place, Bytes clear) {
  assert(sealing_);
  Sealed sealed = begin_blob(kUnderEpoch, epoch_, next_nonce_++, {}, clear.size());
  sealed_bytes_ += clear.size();
  const Result<void> done =
      sealing_->seal(nonce_of(sealed), place.view(), clear, sealed.data() + kSealHeaderBytes, sealed.data() + kTagAt);
  if (!done) return std::unexpected(done.error());
  return sealed;
}

Result<Sealed> Sealer::seal_lastingly(const AssociatedData& place, Bytes clear) {
  if (!lasting_) {
    if (Result<void> drawn = fill_random(salt_); !drawn) return std::unexpected(drawn.error());
    const Result<SecretBytes> key = derive_key(keyring_.root_key(), salt_, kLastingInfo);
    if (!key) return std::unexpected(key.error());
    Result<Aead> lasting = Aead::make(*key, Aead::Direction::kSeal);
    if (!lasting) return std::unexpected(lasting.error());
    lasting_ = std::move(*lasting);
  }
  Sealed sealed = begin_blob(kLasting, 0, next_lasting_nonce_++, salt_, clear.size());
  const Result<void> done = lasting_->seal(nonce_of(sealed), place.view(), clear,
                                           sealed.data() + kSealHeaderBytes + salt_.size(), sealed.data() + kTagAt);
  if (!done) return std::unexpected(done.error());
  return sealed;
}

Result<SecretBytes> Sealer::open(const AssociatedData& place, Bytes sealed) {
  if (sealed.size() < kSealHeaderBytes) return fail(ErrorCode::kCorrupt, "a sealed row is too short");
  if (sealed[0] == kLasting) return open_lasting(place, sealed);
  if (sealed[0] != kUnderEpoch) return fail(ErrorCode::kCorrupt, "a sealed row has an unknown version");
  const EpochId epoch = epoch_of(sealed);
  auto found = opening_.find(epoch);
  if (found == opening_.end()) {
    const SecretBytes* const key = keyring_.key_of(epoch);
    if (key == nullptr) return fail(ErrorCode::kCorrupt, "the key of a sealed row's epoch is destroyed");
    Result<Aead> opening = Aead::make(*key, Aead::Direction::kOpen);
    if (!opening) return std::unexpected(opening.error());
    if (opening_.size() >= kMaxOpening) opening_.clear();
    found = opening_.emplace(epoch, std::move(*opening)).first;
  }
  return found->second.open(nonce_of(sealed), place.view(), sealed.subspan(kSealHeaderBytes), tag_of(sealed));
}

// Two such rows are opened at a start, so no key is kept ready.
Result<SecretBytes> Sealer::open_lasting(const AssociatedData& place, Bytes sealed) {
  if (sealed.size() < kSealHeaderBytes + salt_.size() || epoch_of(sealed) != 0) {
    return fail(ErrorCode::kCorrupt, "a sealed row is too short");
  }
  const Bytes salt = sealed.subspan(kSealHeaderBytes, salt_.size());
  const Result<SecretBytes> key = derive_key(keyring_.root_key(), salt, kLastingInfo);
  if (!key) return std::unexpected(key.error());
  Result<Aead> opening = Aead::make(*key, Aead::Direction::kOpen);
  if (!opening) return std::unexpected(opening.error());
  return opening->open(nonce_of(sealed), place.view(), sealed.subspan(kSealHeaderBytes + salt.size()), tag_of(sealed));
}

}  // namespace qkms::storage
