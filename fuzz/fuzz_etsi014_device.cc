// What a device that offers ETSI GS QKD 014 sends, and what the driver at the other end tells. The first byte chooses:
// a whole HTTP answer, a body, or a note. Claims: the same comes out for the same input; what is accepted is within its
// bounds; nothing of a body with keys gets into the text of an error.
#include <cstring>
#include <string>

#include "api/http_answer.h"
#include "drivers/etsi014/block_draft.h"
#include "drivers/etsi014/device_messages.h"
#include "drivers/etsi014/note.h"
#include "fuzz/require.h"

namespace {

using namespace qkms;
using namespace qkms::drivers;
using namespace qkms::drivers::etsi014;
using fuzz::require;

void look_at_body(const SecretBytes& body) {
  if (const auto status = read_status(body)) {
    require(status->key_size_bits > 0 && status->max_key_per_request > 0, "a status can be worked with");
    require(status->min_key_size_bits <= status->max_key_size_bits, "sizes are in order");
    const auto again = read_status(body);
    require(again && *again == *status, "a status is read the same again");
  }
  const auto keys = read_key_container(body);
  if (keys) {
    require(keys->size() <= kMaxKeysPerAnswer, "keys are bounded");
    std::size_t bits = 0;
    for (const DeviceKey& key : *keys) bits += key.bits.size();
    require(bits <= body.size(), "no more bits than bytes");
  } else {
    require(keys.error().code == ErrorCode::kCorrupt && keys.error().text.size() < 200, "a refusal says why, shortly");
  }
  require(describe_refusal(500, body).size() <= 4 * kMaxMessageBytes + 8, "a message is short");
}

void look_at_answer(std::span<const std::uint8_t> bytes) {
  api::SecretBuffer buffer;
  if (!bytes.empty()) std::memcpy(buffer.room(bytes.size()).data(), bytes.data(), bytes.size());
  buffer.grow(bytes.size());
  const auto open = api::read_answer(buffer, api::Stream::kOpen);
  const auto closed = api::read_answer(buffer, api::Stream::kClosed);
  require(!closed || *closed, "with the connection gone there is nothing to wait for");
  if (!closed) return;
  require((*closed)->bytes <= bytes.size() && (*closed)->body.size() <= bytes.size(), "an answer is part of what came");
  if (open && *open) require((*open)->body.equals((*closed)->body), "the close changes no whole answer");
  look_at_body((*closed)->body);
}

void look_at_note(std::span<const std::uint8_t> bytes) {
  const std::string text(bytes.begin(), bytes.end());
  const auto receipt = read_receipt(text);
  if (receipt) require(write_receipt(*receipt) == text, "a receipt has one form");
  const auto note = read_note(text);
  require(!note || !receipt, "a note is no receipt");
  if (!note) return;
  require(write_note(*note) == text, "a note has one form");
  require(note->block_bytes() >= kMinBlockBytes && note->block_bytes() <= kMaxBlockBytes,
          "a block has an allowed size");
  BlockDraft draft(note->key_bytes, note->block_bytes());
  for (const KeyId& id : note->ids) draft.add({id, SecretBytes(note->key_bytes)});
  const Block block = draft.block();
  require(block.id == block_id_of(*note) && block.bits.size() == note->block_bytes(), "it is the note's block");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const std::uint8_t> rest(data + 1, size - 1);
  if (data[0] % 3 == 0) look_at_answer(rest);
  if (data[0] % 3 == 1) look_at_body(SecretBytes::copy_of(rest));
  if (data[0] % 3 == 2) look_at_note(rest);
  return 0;
}
