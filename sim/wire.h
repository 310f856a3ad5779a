// What an eavesdropper with the KMEs' ID keys would learn from the frames: the tags of blocks, and the pads that hid
// keys. It decodes key IDs to find out which pad hid which key, and writes both down for the checker.
#pragma once

#include <map>
#include <vector>

#include "api/peer/message.h"
#include "kms/key_id.h"
#include "sim/context.h"

namespace qkms::sim {

class Wire {
 public:
  explicit Wire(Context& context) : context_(context) {}

  void see(const KmeId& from, const KmeId& to, const api::Frame& frame);
  // The two count their messages from 1 again.
  void pair_reset(const KmeId& a, const KmeId& b);
  // The master has its keys, so the pads over them can be computed.
  void keys_known(const KmeId& issuer, const std::vector<KeyId>& ids, const SecretBytes& bits);

 private:
  void see_accept(const KmeId& from, const KmeId& to, std::uint64_t sequence, const api::BlockAccept& accept);
  void see_acknowledgement(const KmeId& from, const KmeId& to, std::uint64_t number);
  void see_assign(const KmeId& from, const KmeId& to, const api::Assign& assign);

  Context& context_;
  std::map<KmeId, kms::KeyIdCodec> id_keys_;
  std::map<std::pair<KmeId, KmeId>, std::map<std::uint64_t, BlockId>>
      accepts_;  // by sender and receiver, not confirmed
  std::map<std::pair<KmeId, std::uint64_t>, std::map<KmeId, std::vector<std::uint8_t>>>
      under_pads_;  // by issuer and record, then receiver
};

}  // namespace qkms::sim
