#include "sim/devices.h"

namespace qkms::sim {

Devices::Devices(Context& context, std::vector<std::unique_ptr<Site>>& sites) : context_(context), sites_(sites) {}

void Devices::start() {
  for (std::size_t link = 0; link < context_.topology.links.size(); ++link) schedule(link);
}

void Devices::schedule(std::size_t link) {
  const Millis every = context_.settings.block_every_ms;
  context_.scheduler.after(context_.random.between(every / 2, every * 3 / 2), [this, link] {
    if (stopped_) return;
    make_block(link);
    schedule(link);
  });
}

void Devices::make_block(std::size_t link) {
  const Settings& settings = context_.settings;
  DeviceBlock block;
  block.link = context_.topology.link_ids[link];
  BlockId::Bytes id;
  context_.random.fill(id);
  block.block = BlockId(id);
  const auto size = context_.random.between(static_cast<Millis>(settings.least_block_bytes),
                                            static_cast<Millis>(settings.most_block_bytes));
  block.bits = SecretBytes(static_cast<std::size_t>(size));
  context_.random.fill(block.bits.reveal_mutable());
  const auto [a, b] = context_.topology.links[link];
  deliver(link, a, block);
  deliver(link, b, block);
  context_.history.blocks.push_back(std::move(block));
}

void Devices::deliver(std::size_t link, std::size_t site, const DeviceBlock& block) {
  const FaultRates& faults = context_.settings.faults;
  if (context_.strikes(faults.block_lost, Count::kBlockLost)) return;
  SecretBytes bits = block.bits.slice(0, block.bits.size());
  if (context_.strikes(faults.block_corrupted, Count::kBlockCorrupted)) {
    const std::uint64_t bit = context_.random.below(bits.size() * 8);
    bits.reveal_mutable()[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
  }
  // Delays of more than the time between two blocks also change their order.
  Millis delay = context_.random.between(0, 20);
  if (context_.strikes(faults.block_delayed, Count::kBlockDelayed)) delay = context_.random.between(20, 4000);
  if (context_.strikes(faults.block_repeated, Count::kBlockRepeated)) {
    hand_over(link, site, block.block, bits.slice(0, bits.size()), delay + context_.random.between(0, 4000));
  }
  hand_over(link, site, block.block, std::move(bits), delay);
}

void Devices::hand_over(std::size_t link, std::size_t site, const BlockId& block, SecretBytes bits, Millis delay) {
  context_.scheduler.after(delay, [this, link, site, block, bits = std::move(bits)]() mutable {
    sites_[site]->post(kms::BlockArrived{context_.topology.link_ids[link], block, std::move(bits)});
  });
}

}  // namespace qkms::sim
