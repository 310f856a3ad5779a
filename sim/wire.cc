#include "sim/wire.h"

namespace qkms::sim {

void Wire::see(const KmeId& from, const KmeId& to, const api::Frame& frame) {
  if (const auto* hello = std::get_if<api::Hello>(&frame.body)) {
    context_.counts.messages[kMessageKinds - 2]++;
    id_keys_.try_emplace(from, hello->id_key);
    return;
  }
  see_acknowledgement(from, to, frame.acknowledge);
  const auto* numbered = std::get_if<api::Numbered>(&frame.body);
  if (numbered == nullptr) {
    context_.counts.messages[kMessageKinds - 1]++;
    if (std::get<api::Heartbeat>(frame.body).accounts) context_.counts.add(Count::kAccountsTold);
    return;
  }
  static_assert(std::variant_size_v<api::Message> + 2 == kMessageKinds);
  context_.counts.messages[numbered->message.index()]++;
  if (const auto* assign = std::get_if<api::Assign>(&numbered->message)) see_assign(from, to, *assign);
  if (const auto* accept = std::get_if<api::BlockAccept>(&numbered->message))
    see_accept(from, to, numbered->sequence, *accept);
  if (const auto* offer = std::get_if<api::BlockOffer>(&numbered->message)) {
    context_.history.tags.push_back({offer->link, offer->block, offer->tag});
  }
}

// Who accepts a block has it in its reservoir; the other end does when it confirms the message.
void Wire::see_accept(const KmeId& from, const KmeId& to, std::uint64_t sequence, const api::BlockAccept& accept) {
  if (accepts_[{from, to}].emplace(sequence, accept.block).second)
    context_.history.appended.push_back({from, accept.block, context_.scheduler.now()});
}

void Wire::see_acknowledgement(const KmeId& from, const KmeId& to, std::uint64_t number) {
  auto& waiting = accepts_[{to, from}];
  const auto end = waiting.upper_bound(number);
  for (auto at = waiting.begin(); at != end; ++at)
    context_.history.appended.push_back({from, at->second, context_.scheduler.now()});
  waiting.erase(waiting.begin(), end);
}

void Wire::pair_reset(const KmeId& a, const KmeId& b) {
  accepts_.erase({a, b});
  accepts_.erase({b, a});
}

void Wire::see_assign(const KmeId& from, const KmeId& to, const api::Assign& assign) {
  if (assign.under_pad.empty()) return;
  const auto [seen, fresh] = under_pads_[{from, assign.record}].emplace(to, assign.under_pad);
  if (fresh) {
    context_.history.padded.push_back({from, to, assign.under_pad});
  } else if (seen->second != assign.under_pad) {
    context_.history.alarms.push_back(
        {context_.scheduler.now(), from, "it sends other bits under the same record than before"});
  }
}

void Wire::keys_known(const KmeId& issuer, const std::vector<KeyId>& ids, const SecretBytes& bits) {
  const auto codec = id_keys_.find(issuer);
  if (codec == id_keys_.end() || ids.empty()) return;
  const auto place = codec->second.decode(ids.front());
  if (!place) return;
  const auto padded = under_pads_.find({issuer, place->record});
  if (padded == under_pads_.end()) return;
  for (const auto& [to, under_pad] : padded->second) {
    if (under_pad.size() != bits.size()) continue;
    SecretBytes pad = SecretBytes::copy_of(under_pad);
    const auto out = pad.reveal_mutable();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] ^= bits.reveal()[i];
    context_.history.pads.push_back({issuer, to, std::move(pad)});
    context_.counts.add(Count::kPads);
  }
}

}  // namespace qkms::sim
