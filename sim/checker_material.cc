// Rules "once" and "met". Keys, and the pads over keys, are pieces of what the devices made: no 8 bytes of it may turn
// up in two places, none may come from a block's MAC key, and none may be on the wire. An overlap shorter than 8 bytes
// goes unseen.
#include <fmt/format.h>

#include <algorithm>

#include "sim/checker.h"
#include "sim/window_table.h"

namespace qkms::sim {
namespace {

constexpr std::size_t kMacKeyBytes = 32;
// A key may be put together from a few crumbs of extents, none of them as long as a window.
constexpr std::size_t kLeastUnexplained = 32;

struct Material {
  std::span<const std::uint8_t> bits;
  std::string name;
  bool from_devices = true;
};

// What the devices made, and where each window of it is.
class DeviceIndex {
 public:
  explicit DeviceIndex(const History& history) : table_(total(history)) {
    for (const DeviceBlock& block : history.blocks) {
      const auto bits = block.bits.reveal();
      for (std::size_t at = 0; at + kWindowBytes <= bits.size(); ++at) {
        table_.put(WindowTable::window_at(bits, at), static_cast<std::uint32_t>(places_.size()));
        places_.push_back({&block, static_cast<std::uint32_t>(at)});
      }
    }
  }

  struct Place {
    const DeviceBlock* block;
    std::uint32_t offset;
  };
  const Place* find(std::uint64_t window) const {
    const auto at = table_.find(window);
    return at ? &places_[*at] : nullptr;
  }

 private:
  static std::size_t total(const History& history) {
    std::size_t bytes = 0;
    for (const DeviceBlock& block : history.blocks) bytes += block.bits.size();
    return bytes;
  }
  WindowTable table_;
  std::vector<Place> places_;
};

bool in_homes_of_others(const History& history, const Call& call) {
  const auto away = [&](const SaeId& sae) {
    const auto home = history.homes.find(sae);
    return home != history.homes.end() && home->second != call.kme;
  };
  return away(call.other) || std::ranges::any_of(call.additional, away);
}

std::vector<Material> all_material(const History& history) {
  std::vector<Material> all;
  for (const Call& call : history.calls) {
    if (call.kind != CallKind::kGetKey || call.answer != Answer::kKeys) continue;
    std::size_t at = 0;
    for (std::size_t i = 0; i < call.ids.size() && i < call.sizes.size() && at + call.sizes[i] <= call.bits.size();
         ++i) {
      all.push_back({call.bits.reveal().subspan(at, call.sizes[i]), "key " + to_string(call.ids[i]),
                     in_homes_of_others(history, call)});
      at += call.sizes[i];
    }
  }
  for (const PadUse& pad : history.pads) {
    all.push_back({pad.bits.reveal(), fmt::format("a pad from {} to {}", pad.from.str(), pad.to.str())});
  }
  return all;
}

void check_windows(const std::vector<Material>& all, std::vector<Violation>& violations) {
  std::size_t bytes = 0;
  for (const Material& material : all) bytes += material.bits.size();
  WindowTable table(bytes);
  for (std::uint32_t number = 0; number < all.size(); ++number) {
    const auto bits = all[number].bits;
    for (std::size_t at = 0; at + kWindowBytes <= bits.size(); ++at) {
      const auto before = table.put(WindowTable::window_at(bits, at), number);
      if (!before || *before == number) continue;
      violations.push_back({Rule::kOnce, fmt::format("{} and {} share bits", all[*before].name, all[number].name)});
      break;
    }
  }
}

// Follows the material through the device blocks, piece by piece.
void check_origin(const Material& material, const DeviceIndex& devices, std::vector<Violation>& violations) {
  const auto bits = material.bits;
  std::size_t unexplained = 0;
  for (std::size_t at = 0; at < bits.size();) {
    const DeviceIndex::Place* place =
        at + kWindowBytes <= bits.size() ? devices.find(WindowTable::window_at(bits, at)) : nullptr;
    if (place == nullptr) {
      ++at;
      if (++unexplained < kLeastUnexplained) continue;
      violations.push_back({Rule::kOnce, fmt::format("{} is not from a device", material.name)});
      return;
    }
    if (place->offset + kWindowBytes <= kMacKeyBytes) {
      violations.push_back({Rule::kOnce, fmt::format("{} has bits of a MAC key", material.name)});
      return;
    }
    const auto block = place->block->bits.reveal().subspan(place->offset);
    std::size_t length = kWindowBytes;
    while (length < block.size() && at + length < bits.size() && block[length] == bits[at + length]) ++length;
    at += length;
    unexplained = 0;
  }
}

// Since when, at the latest, a KME had each block in its reservoir.
using AppendedBy = std::map<std::pair<KmeId, BlockId>, Millis>;

AppendedBy appended_by(const History& history) {
  AppendedBy appended;
  for (const Appended& proof : history.appended) {
    const auto [at, fresh] = appended.emplace(std::pair(proof.kme, proof.block), proof.by);
    if (!fresh) at->second = std::min(at->second, proof.by);
  }
  return appended;
}

// What is older cannot be young enough for this call. What came in before the KME's engine was made is of no known age.
Millis oldest_for(const History& history, const Call& call) {
  Millis oldest = call.start - *call.max_age;
  for (const NewLife& life : history.lives) {
    if (life.kme == call.kme && life.time < call.start) oldest = std::max(oldest, life.time);
  }
  return oldest;
}

void check_age(const History& history, const Call& call, const DeviceIndex& devices, const AppendedBy& appended,
               std::vector<Violation>& violations) {
  const auto bits = call.bits.reveal();
  const Millis oldest = oldest_for(history, call);
  for (std::size_t at = 0; at + kWindowBytes <= bits.size(); ++at) {
    const DeviceIndex::Place* place = devices.find(WindowTable::window_at(bits, at));
    if (place == nullptr) continue;
    const auto since = appended.find({call.kme, place->block->block});
    if (since == appended.end() || since->second >= oldest) continue;
    violations.push_back({Rule::kMet, fmt::format("{} got bits at {} ms that were there by {} ms, and none from before "
                                                  "{} ms would do",
                                                  call.caller.str(), call.end, since->second, oldest)});
    return;
  }
}

void check_route(const History& history, const Call& call, std::vector<Violation>& violations) {
  std::vector<SaeId> slaves = call.additional;
  slaves.push_back(call.other);
  const bool between_linked = std::ranges::all_of(slaves, [&](const SaeId& slave) {
    const KmeId& home = history.homes.at(slave);
    return home == call.kme || history.linked.contains({call.kme, home});
  });
  if (call.route == Route::kAny || (call.route == Route::kDirect && between_linked)) return;
  const bool link_away = std::ranges::any_of(history.absences, [&](const Absence& absence) {
    return absence.kind != AbsenceKind::kSae && absence.kme == call.kme && absence.touches(call.start, call.end);
  });
  if (call.route == Route::kIndirect && (!between_linked || link_away)) return;
  violations.push_back({Rule::kMet, fmt::format("{} got keys for {} at {} ms that did not come the way that it said",
                                                call.caller.str(), call.other.str(), call.end)});
}

void check_conditions(const History& history, const DeviceIndex& devices, std::vector<Violation>& violations) {
  const AppendedBy appended = appended_by(history);
  for (const Call& call : history.calls) {
    if (call.kind != CallKind::kGetKey || call.answer != Answer::kKeys) continue;
    if (call.max_age) check_age(history, call, devices, appended, violations);
    check_route(history, call, violations);
  }
}

void check_wire(const History& history, const DeviceIndex& devices, std::vector<Violation>& violations) {
  for (const PaddedKeys& padded : history.padded) {
    const std::span<const std::uint8_t> bytes(padded.wire_bytes);
    for (std::size_t at = 0; at + kWindowBytes <= bytes.size(); ++at) {
      if (devices.find(WindowTable::window_at(bytes, at)) == nullptr) continue;
      violations.push_back({Rule::kOnce, fmt::format("bits of a device were in clear between {} and {}",
                                                     padded.from.str(), padded.to.str())});
      break;
    }
  }
}

// A one-time MAC key signs one message: two tags under the key of one block would give the key away.
void check_tags(const History& history, std::vector<Violation>& violations) {
  std::map<std::pair<LinkId, BlockId>, const BlockTag*> tags;
  for (const BlockTag& tag : history.tags) {
    const auto [first, fresh] = tags.emplace(std::pair(tag.link, tag.block), &tag);
    if (fresh || first->second->tag == tag.tag) continue;
    violations.push_back({Rule::kOnce, fmt::format("block {} was offered under two tags: its MAC key was used twice",
                                                   to_string(tag.block))});
  }
}

}  // namespace

void check_material(const History& history, std::vector<Violation>& violations) {
  const std::vector<Material> all = all_material(history);
  check_windows(all, violations);
  const DeviceIndex devices(history);
  for (const Material& material : all) {
    if (material.from_devices) check_origin(material, devices, violations);
  }
  check_wire(history, devices, violations);
  check_conditions(history, devices, violations);
  check_tags(history, violations);
}

}  // namespace qkms::sim
