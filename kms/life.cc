#include "kms/life.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>

#include "kms/key_id.h"
#include "kms/one_time_mac.h"
#include "kms/planted_bug.h"

namespace qkms::kms {
namespace {

// Ordinals below this one's are of the time before the store was last put back.
std::uint64_t first_of_generation(std::uint64_t ordinal) { return ordinal >> 32 << 32; }

std::uint64_t draw_nonzero(Random& random) {
  std::uint64_t drawn = 0;
  while (drawn == 0) drawn = random.next_u64();
  return drawn;
}

SecretBytes draw_key(std::size_t bytes, Random& random) {
  SecretBytes key(bytes);
  random.fill(key.reveal_mutable());
  return key;
}

// A life that is put back and lived again must not number its records like the first time, noticed or not: key IDs are
// made of them. 2^38 leaves room for millions of lives below kMaxRecord.
void skip_records(NodeRow& node, Random& random) {
  const std::uint64_t skipped = random.next_u64() >> 26;
  if (node.record_limit <= kMaxRecord / 2 - skipped) node.record_limit += skipped;
}

// HMAC-SHA-256 (RFC 2104), cut to 16 bytes, over the three numbers and the peer's ID.
api::Tag128 proof_of(const api::Mark& mark, const KmeId& peer, const SecretBytes& key) {
  std::vector<std::uint8_t> text;
  for (const std::uint64_t number : {mark.ordinal, mark.life, mark.progress}) {
    for (int shift = 56; shift >= 0; shift -= 8) text.push_back(static_cast<std::uint8_t>(number >> shift));
  }
  text.insert(text.end(), peer.str().begin(), peer.str().end());
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> whole{};
  unsigned size = 0;
  const auto secret = key.reveal();
  // It fails only without memory; a mark without a proof must not leave.
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), text.data(), text.size(), whole.data(),
           &size) == nullptr)
    std::abort();
  api::Tag128 proof{};
  std::copy_n(whole.begin(), proof.size(), proof.begin());
  return proof;
}

}  // namespace

NodeRow copy_of(const NodeRow& node) {
  NodeRow copy;
  copy.self = node.self;
  copy.incarnation = node.incarnation;
  copy.id_key = SecretBytes::copy_of(node.id_key.reveal());
  copy.record_limit = node.record_limit;
  copy.time = node.time;
  copy.mark_key = SecretBytes::copy_of(node.mark_key.reveal());
  copy.ordinal = node.ordinal;
  copy.life = node.life;
  copy.progress = node.progress;
  copy.restored = node.restored;
  return copy;
}

NodeRow new_node(const KmeId& self, Random& random, Millis now) {
  NodeRow node;
  node.self = self;
  node.incarnation = draw_nonzero(random);
  node.id_key = draw_key(kIdKeyBytes, random);
  // Peers may still hold records of a store that was lost: start where no two stores of one KME are likely to meet.
  node.record_limit = (random.next_u64() >> 24) << 20;
  node.time = now;
  return node;
}

std::vector<PeerRow> begin_life(NodeRow& node, std::vector<PeerRow>& peers, Random& random) {
  std::vector<PeerRow> changed;
  for (PeerRow& peer : peers) {
    if (node.life == 0 || peer.told.life != node.life) continue;
    peer.told.progress = node.progress;  // it comes no further
    changed.push_back(peer);
  }
  if (node.mark_key.empty()) node.mark_key = draw_key(kMarkKeyBytes, random);
  ++node.ordinal;
  node.life = draw_nonzero(random);
  node.progress = 0;
  skip_records(node, random);
  return changed;
}

api::Mark Life::mark_for(const KmeId& peer) const {
  api::Mark mark{node_.ordinal, node_.life, node_.progress, {}};
  mark.proof = proof_of(mark, peer, node_.mark_key);
  return mark;
}

Life::Verdict Life::judge(const api::Mark& heard, const PeerRow& peer) const {
  if (heard.ordinal == 0) return Verdict::kKnown;  // it has heard nothing yet
  if (!tags_equal(heard.proof, proof_of(heard, peer.peer, node_.mark_key))) return Verdict::kForged;
  if (planted(Bug::kTrustAnyLife)) return Verdict::kKnown;
  // From before a put-back: all that was stored then has been burned.
  if (heard.ordinal < first_of_generation(node_.ordinal)) return Verdict::kKnown;
  const bool in_present_life = peer.told.ordinal == node_.ordinal && peer.told.life == node_.life;
  const Told told = in_present_life ? told_now() : peer.told;
  // From before we last met: what it had to say was judged then. Whatever forgot since, it is not this store.
  if (heard.ordinal < told.ordinal) return Verdict::kKnown;
  const bool known = heard.ordinal == told.ordinal && heard.life == told.life && heard.progress <= told.progress;
  return known ? Verdict::kKnown : Verdict::kPutBack;
}

void Life::start_over(std::uint64_t heard, Random& random) {
  node_.incarnation = draw_nonzero(random);
  node_.ordinal = ((std::max(node_.ordinal, heard) >> 32) + 1) << 32;
  node_.restored = false;
}

}  // namespace qkms::kms
