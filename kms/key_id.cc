#include "kms/key_id.h"

#include <openssl/evp.h>

#include <cassert>
#include <cstdlib>

namespace qkms::kms {
namespace {

constexpr int kRounds = 10;
constexpr std::uint64_t kMask61 = kMaxRecord;
constexpr int kCheckBits = 45;  // right half: 16 bits of index, then these, all zero

std::uint64_t read_be64(const std::uint8_t* bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | bytes[i];
  return value;
}

void write_be64(std::uint64_t value, std::uint8_t* bytes) {
  for (int i = 7; i >= 0; --i, value >>= 8) bytes[i] = static_cast<std::uint8_t>(value);
}

void encrypt_blocks(EVP_CIPHER_CTX* aes, std::span<std::uint8_t> blocks) {
  int written = 0;
  // Fails only when OpenSSL itself is broken; an ID made from garbage would then collide with others.
  if (EVP_EncryptUpdate(aes, blocks.data(), &written, blocks.data(), static_cast<int>(blocks.size())) != 1)
    std::abort();
}

// 122 bits around the fixed version and variant of a UUIDv4 (RFC 9562 §5.4): 60 in the first 8 bytes, 62 in the others.
KeyId to_uuid(std::uint64_t left, std::uint64_t right) {
  const std::uint64_t high = left >> 1;
  const std::uint64_t low = (left & 1) << 61 | right;
  KeyId::Bytes bytes{};
  write_be64((high >> 12) << 16 | 0x4000 | (high & 0xfff), bytes.data());
  write_be64(std::uint64_t{2} << 62 | low, bytes.data() + 8);
  return KeyId(bytes);
}

}  // namespace

void KeyIdCodec::Free::operator()(evp_cipher_ctx_st* context) const { EVP_CIPHER_CTX_free(context); }

KeyIdCodec::KeyIdCodec(std::span<const std::uint8_t, kIdKeyBytes> id_key) : aes_(EVP_CIPHER_CTX_new()) {
  if (!aes_ || EVP_EncryptInit_ex2(aes_.get(), EVP_aes_256_ecb(), id_key.data(), nullptr, nullptr) != 1 ||
      EVP_CIPHER_CTX_set_padding(aes_.get(), 0) != 1) {
    std::abort();
  }
  // SP 800-38G algorithm 7 step 5: P = 1, 2, 1, radix (3 bytes), 10, u mod 256, n (4 bytes), t (4 bytes).
  first_block_ = {1, 2, 1, 0, 0, 2, 10, 61, 0, 0, 0, 122, 0, 0, 0, 0};
  encrypt_blocks(aes_.get(), first_block_);
}

// Steps 6.i to 6.iv: the low 61 bits of NUM(S), which are all that the addition modulo 2^61 sees. S is 12 bytes, its
// low 8 are 4 to 11.
void KeyIdCodec::round_values(int round, std::span<const std::uint64_t> inputs,
                              std::span<std::uint64_t> outputs) const {
  std::vector<std::uint8_t> blocks(inputs.size() * 16);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    std::uint8_t* block = blocks.data() + 16 * i;
    block[7] = static_cast<std::uint8_t>(round);  // Q = 7 zeros, round, 8 bytes of B
    write_be64(inputs[i], block + 8);
    for (std::size_t k = 0; k < 16; ++k) block[k] ^= first_block_[k];
  }
  encrypt_blocks(aes_.get(), blocks);
  for (std::size_t i = 0; i < inputs.size(); ++i) outputs[i] = read_be64(blocks.data() + 16 * i + 4) & kMask61;
}

void KeyIdCodec::encrypt(std::span<Halves> values) const {
  std::vector<std::uint64_t> inputs(values.size()), outputs(values.size());
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < values.size(); ++i) inputs[i] = values[i].right;
    round_values(round, inputs, outputs);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = {values[i].right, (values[i].left + outputs[i]) & kMask61};
  }
}

std::vector<KeyId> KeyIdCodec::encode(std::uint64_t record, std::uint32_t count) const {
  assert(record <= kMaxRecord && count <= kMaxKeyIndex + 1);
  std::vector<Halves> values(count);
  for (std::uint32_t i = 0; i < count; ++i) values[i] = {record, std::uint64_t{i} << kCheckBits};
  encrypt(values);
  std::vector<KeyId> ids;
  ids.reserve(count);
  for (const Halves& value : values) ids.push_back(to_uuid(value.left, value.right));
  return ids;
}

std::optional<KeyPlace> KeyIdCodec::decode(const KeyId& id) const {
  const std::uint64_t first = read_be64(id.bytes().data());
  const std::uint64_t second = read_be64(id.bytes().data() + 8);
  if ((first & 0xf000) != 0x4000 || second >> 62 != 2) return std::nullopt;
  const std::uint64_t high = (first >> 16) << 12 | (first & 0xfff);
  const std::uint64_t low = second & ((std::uint64_t{1} << 62) - 1);
  Halves value{high << 1 | low >> 61, low & kMask61};
  for (int round = kRounds - 1; round >= 0; --round) {
    std::uint64_t output = 0;
    round_values(round, {&value.left, 1}, {&output, 1});
    value = {(value.right - output) & kMask61, value.left};
  }
  if ((value.right & ((std::uint64_t{1} << kCheckBits) - 1)) != 0) return std::nullopt;
  return KeyPlace{value.left, static_cast<std::uint32_t>(value.right >> kCheckBits)};
}

}  // namespace qkms::kms
