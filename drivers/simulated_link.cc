#include "drivers/simulated_link.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <memory>

namespace qkms::drivers {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
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

void fill_with_keystream(std::span<const std::uint8_t, 32> key, std::span<std::uint8_t> out) {
  const std::array<std::uint8_t, 16> counter{};  // the key is used for one block only
  const std::unique_ptr<EVP_CIPHER_CTX, FreeContext> context(EVP_CIPHER_CTX_new());
  assert(context != nullptr);
  require(EVP_EncryptInit_ex(context.get(), EVP_aes_256_ctr(), nullptr, key.data(), counter.data()));
  std::fill(out.begin(), out.end(), std::uint8_t{0});
  int written = 0;
  require(EVP_EncryptUpdate(context.get(), out.data(), &written, out.data(), static_cast<int>(out.size())));
}

Block copy_of(const Block& block) { return {block.id, SecretBytes::copy_of(block.bits.reveal())}; }

}  // namespace

SimulatedSource::SimulatedSource(LinkId link, SimulatedSettings settings)
    : link_(std::move(link)), seed_(std::move(settings.seed)) {
  const std::uint64_t millibits = settings.rate_bps * settings.burst_ms;
  if (millibits == 0) return;
  const std::uint64_t needed = kMinBlockBytes * 8 * 1000;
  stride_ = std::max<std::uint64_t>(1, (needed + millibits - 1) / millibits);
  bytes_ = millibits * stride_ / 8000;
}

SimulatedSource::Digest SimulatedSource::digest(std::string_view what, std::uint64_t interval,
                                                std::uint64_t part) const {
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  assert(context != nullptr);
  require(EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr));
  hash_text(context.get(), "qkms simulated link");
  hash_text(context.get(), what);
  hash_text(context.get(), seed_);
  hash_text(context.get(), link_.str());
  for (const std::uint64_t number : {interval, part}) {
    const auto bytes = big_endian(number);
    require(EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()));
  }
  Digest result;
  require(EVP_DigestFinal_ex(context.get(), result.data(), nullptr));
  return result;
}

Block SimulatedSource::make_block(std::uint64_t interval, std::uint64_t part, std::size_t size) const {
  BlockId::Bytes id;
  const Digest named = digest("id", interval, part);
  std::copy_n(named.begin(), id.size(), id.begin());
  id[6] = static_cast<std::uint8_t>((id[6] & 0x0f) | 0x80);  // RFC 9562 §5.8: version 8, made by a rule of the maker's
  id[8] = static_cast<std::uint8_t>((id[8] & 0x3f) | 0x80);
  Block block{BlockId(id), SecretBytes(size)};
  Digest key = digest("bits", interval, part);
  fill_with_keystream(key, block.bits.reveal_mutable());
  wipe(key);
  return block;
}

std::vector<Block> SimulatedSource::blocks_of(std::uint64_t interval) const {
  std::vector<Block> blocks;
  if (stride_ == 0 || interval % stride_ != 0) return blocks;
  // Parts of nearly one size: so none is below kMinBlockBytes.
  const std::uint64_t parts = (bytes_ + kMaxBlockBytes - 1) / kMaxBlockBytes;
  for (std::uint64_t part = 0; part < parts; ++part) {
    const std::uint64_t begin = bytes_ * part / parts;
    const std::uint64_t end = bytes_ * (part + 1) / parts;
    blocks.push_back(make_block(interval, part, end - begin));
  }
  return blocks;
}

SimulatedLink::SimulatedLink(LinkId link, const SimulatedSettings& settings, std::uint64_t fault_seed,
                             Millis now_wall_ms)
    : source_(std::move(link), settings),
      faults_(settings.faults),
      burst_ms_(std::max<Millis>(1, settings.burst_ms)),
      random_(fault_seed),
      next_interval_(static_cast<std::uint64_t>(now_wall_ms / burst_ms_) + 1) {
  const std::uint64_t stride = source_.stride();
  if (stride > 1) next_interval_ = (next_interval_ + stride - 1) / stride * stride;
}

bool SimulatedLink::happens(double probability) {
  return std::uniform_real_distribution<double>(0, 1)(random_) < probability;
}

void SimulatedLink::schedule(Block block, Millis at) { waiting_.emplace(at, std::move(block)); }

void SimulatedLink::schedule_with_faults(Block block, Millis at) {
  if (happens(faults_.lose)) return;
  if (happens(faults_.delay)) at += faults_.delay_ms;
  if (happens(faults_.corrupt)) {
    const auto bits = block.bits.reveal_mutable();
    const std::size_t bit = std::uniform_int_distribution<std::size_t>(0, bits.size() * 8 - 1)(random_);
    bits[bit / 8] = static_cast<std::uint8_t>(bits[bit / 8] ^ (1u << bit % 8));
  }
  if (happens(faults_.repeat)) schedule(copy_of(block), at);
  if (!held_back_ && happens(faults_.reorder)) {
    held_back_ = std::move(block);
    return;
  }
  schedule(std::move(block), at);
  if (held_back_) schedule(std::move(*std::exchange(held_back_, std::nullopt)), at);
}

std::vector<Block> SimulatedLink::take_due(Millis now_wall_ms) {
  const std::uint64_t stride = source_.stride();
  const auto present = static_cast<std::uint64_t>(std::max<Millis>(0, now_wall_ms / burst_ms_));
  if (stride > 0) {
    if (present > next_interval_ + kMaxCatchUp * stride) next_interval_ = (present / stride - kMaxCatchUp + 1) * stride;
    for (; next_interval_ <= present; next_interval_ += stride) {
      const Millis at = static_cast<Millis>(next_interval_) * burst_ms_;
      for (Block& block : source_.blocks_of(next_interval_)) schedule_with_faults(std::move(block), at);
    }
  }
  std::vector<Block> due;
  while (!waiting_.empty() && waiting_.begin()->first <= now_wall_ms) {
    due.push_back(std::move(waiting_.begin()->second));
    waiting_.erase(waiting_.begin());
  }
  return due;
}

std::optional<Millis> SimulatedLink::next_due() const {
  if (source_.stride() == 0) return std::nullopt;
  const Millis next = static_cast<Millis>(next_interval_) * burst_ms_;
  return waiting_.empty() ? next : std::min(next, waiting_.begin()->first);
}

}  // namespace qkms::drivers
