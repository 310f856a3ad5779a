#include "drivers/simulated_link.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <memory>

namespace qkms::drivers {
namespace {

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

// Out of memory is the only way in which these calls of libcrypto fail; there is nothing to go on with then.
void require(int outcome) { assert(outcome == 1); }

void fill_with_keystream(std::span<const std::uint8_t, 32> key, std::span<std::uint8_t> out) {
  const std::array<std::uint8_t, 16> counter{};  // the key is used for one block only
  const std::unique_ptr<EVP_CIPHER_CTX, FreeContext> context(EVP_CIPHER_CTX_new());
  assert(context != nullptr);
  require(EVP_EncryptInit_ex(context.get(), EVP_aes_256_ctr(), nullptr, key.data(), counter.data()));
  std::fill(out.begin(), out.end(), std::uint8_t{0});
  int written = 0;
  require(EVP_EncryptUpdate(context.get(), out.data(), &written, out.data(), static_cast<int>(out.size())));
}

// So many intervals that an undisturbed rate gives two of the smallest blocks: then half of it still gives one.
std::uint64_t stride_of(const LinkModel& model, Seconds interval) {
  const auto usual = model.usual_rate_bps();
  if (!usual) return 1;
  if (*usual <= 0) return 0;
  constexpr double kMost = 1e9;
  const double needed = 2.0 * kMinBlockBytes * 8 / (*usual * interval);
  return static_cast<std::uint64_t>(std::clamp(std::ceil(needed), 1.0, kMost));
}

Block copy_of(const Block& block) { return {block.id, SecretBytes::copy_of(block.bits.reveal())}; }

}  // namespace

SimulatedSource::SimulatedSource(LinkId link, const SimulatedSettings& settings)
    : draws_(std::move(link), settings.seed),
      rate_bps_(static_cast<double>(settings.rate_bps)),
      speed_(settings.physics.speed),
      burst_ms_(std::max<Millis>(1, settings.burst_ms)),
      epoch_(settings.physics.epoch_s),
      model_(make_model(settings.physics, draws_)) {
  if (model_ != nullptr) {
    stride_ = stride_of(*model_, static_cast<double>(burst_ms_) / 1000 * speed_);
    return;
  }
  const std::uint64_t millibits = settings.rate_bps * settings.burst_ms;
  if (millibits == 0) return;
  const std::uint64_t needed = kMinBlockBytes * 8 * 1000;
  stride_ = std::max<std::uint64_t>(1, (needed + millibits - 1) / millibits);
  bytes_ = std::min(kMaxBurstBytes, millibits * stride_ / 8000);
}

Seconds SimulatedSource::model_time(Millis wall_ms) const {
  return epoch_ + (static_cast<double>(wall_ms) / 1000 - epoch_) * speed_;
}

std::uint64_t SimulatedSource::bytes_of(std::uint64_t interval) const {
  if (model_ == nullptr) return bytes_;
  const Millis end = static_cast<Millis>(interval) * burst_ms_;
  const Millis begin = end - static_cast<Millis>(stride_) * burst_ms_;
  const double bytes = model_->bits(model_time(begin), model_time(end)) / 8;
  if (bytes < static_cast<double>(kMinBlockBytes)) return 0;
  return static_cast<std::uint64_t>(std::min(bytes, static_cast<double>(kMaxBurstBytes)));
}

DeviceReport SimulatedSource::report(Millis now_wall_ms) const {
  if (model_ == nullptr) return {std::nullopt, rate_bps_, ""};
  DeviceReport report = model_->report(model_time(now_wall_ms));
  if (report.rate_bps) *report.rate_bps *= speed_;
  return report;
}

Block SimulatedSource::make_block(std::uint64_t interval, std::uint64_t part, std::size_t size) const {
  BlockId::Bytes id;
  const SharedDraws::Digest named = draws_.digest("id", interval, part);
  std::copy_n(named.begin(), id.size(), id.begin());
  id[6] = static_cast<std::uint8_t>((id[6] & 0x0f) | 0x80);  // RFC 9562 §5.8: version 8, made by a rule of the maker's
  id[8] = static_cast<std::uint8_t>((id[8] & 0x3f) | 0x80);
  Block block{BlockId(id), SecretBytes(size)};
  SharedDraws::Digest key = draws_.digest("bits", interval, part);
  fill_with_keystream(key, block.bits.reveal_mutable());
  wipe(key);
  return block;
}

std::vector<Block> SimulatedSource::blocks_of(std::uint64_t interval) const {
  std::vector<Block> blocks;
  if (stride_ == 0 || interval % stride_ != 0) return blocks;
  // Parts of nearly one size: so none is below kMinBlockBytes.
  const std::uint64_t bytes = bytes_of(interval);
  const std::uint64_t parts = (bytes + kMaxBlockBytes - 1) / kMaxBlockBytes;
  for (std::uint64_t part = 0; part < parts; ++part) {
    const std::uint64_t begin = bytes * part / parts;
    const std::uint64_t end = bytes * (part + 1) / parts;
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
