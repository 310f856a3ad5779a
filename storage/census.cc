// See census.h.
#include "storage/census.h"

#include <cassert>

#include "storage/big_endian.h"

namespace qkms::storage {
namespace {

using Words = std::array<std::uint64_t, 4>;

void add_words(Words& to, const Words& value) {
  std::uint64_t carry = 0;
  for (std::size_t i = 0; i < to.size(); ++i) {
    const std::uint64_t sum = to[i] + value[i];
    const std::uint64_t with_carry = sum + carry;
    carry = (sum < value[i] ? 1U : 0U) + (with_carry < sum ? 1U : 0U);
    to[i] = with_carry;
  }
}

void subtract_words(Words& from, const Words& value) {
  std::uint64_t borrow = 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const std::uint64_t difference = from[i] - value[i];
    const std::uint64_t with_borrow = difference - borrow;
    borrow = (from[i] < value[i] ? 1U : 0U) + (difference < borrow ? 1U : 0U);
    from[i] = with_borrow;
  }
}

}  // namespace

Result<Census> Census::make(const SecretBytes& key) {
  assert(key.size() == kCensusKeyBytes);
  Result<Cipher> low = make_cipher(key.reveal().first(kCensusKeyBytes / 2));
  if (!low) return std::unexpected(low.error());
  Result<Cipher> high = make_cipher(key.reveal().last(kCensusKeyBytes / 2));
  if (!high) return std::unexpected(high.error());
  return Census(std::move(*low), std::move(*high));
}

Result<Census::Cipher> Census::make_cipher(Bytes key) {
  Cipher cipher(EVP_CIPHER_CTX_new());
  if (!cipher || EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_ecb(), nullptr, key.data(), nullptr) != 1 ||
      EVP_CIPHER_CTX_set_padding(cipher.get(), 0) != 1) {
    return fail(ErrorCode::kInternal, "libcrypto refused a cipher for the census");
  }
  return cipher;
}

// A blob that is too short to have a tag is counted as one whose tag is zero.
Words Census::hash(Bytes tag) {
  std::array<std::uint8_t, kTagBytes> in{}, out{};
  std::copy(tag.begin(), tag.end(), in.begin());
  Words words{};
  std::size_t at = 0;
  for (const Cipher* cipher : {&low_, &high_}) {
    int written = 0;
    const int done = EVP_EncryptUpdate(cipher->get(), out.data(), &written, in.data(), static_cast<int>(in.size()));
    assert(done == 1 && written == static_cast<int>(kTagBytes));
    static_cast<void>(done);
    words[at++] = get_big_endian<std::uint64_t>(Bytes(out).subspan(8));
    words[at++] = get_big_endian<std::uint64_t>(out);
  }
  return words;
}

void Census::add(Group group, Bytes header) {
  Tally& tally = counts_.groups[group];
  ++tally.rows;
  add_words(tally.sum, hash(tag_of(header)));
  if (const EpochId epoch = epoch_of(header); epoch != 0) ++counts_.epochs[epoch];
}

void Census::remove(Group group, Bytes header) {
  const auto found = counts_.groups.find(group);
  if (found == counts_.groups.end()) return;
  Tally& tally = found->second;
  --tally.rows;
  subtract_words(tally.sum, hash(tag_of(header)));
  if (tally == Tally{}) counts_.groups.erase(found);
  const auto epoch = counts_.epochs.find(epoch_of(header));
  if (epoch != counts_.epochs.end() && --epoch->second == 0) counts_.epochs.erase(epoch);
}

}  // namespace qkms::storage
