#include "api/peer/codec.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <optional>

#include "api/peer/bounds.h"
#include "api/peer/peer.pb.h"

namespace qkms::api {
namespace {

// --- values to wire
// ----------------------------------------------------------------------------------------------------------------

template <class Bytes>
std::string to_string_of(const Bytes& bytes) {
  return std::string(bytes.begin(), bytes.end());
}

template <class WireRanges>
void write_ranges(const std::vector<Range>& ranges, WireRanges& out) {
  out.Reserve(static_cast<int>(ranges.size()));
  for (const Range& range : ranges) {
    wire::Range& added = *out.Add();
    added.set_extent(range.extent);
    added.set_offset(range.offset);
    added.set_size(range.size);
  }
}

void write(const Mark& mark, wire::Mark& out) {
  out.set_ordinal(mark.ordinal);
  out.set_life(mark.life);
  out.set_progress(mark.progress);
  out.set_proof(to_string_of(mark.proof));
}

void write(const Hello& hello, wire::Hello& out) {
  out.set_version_min(hello.version_min);
  out.set_version_max(hello.version_max);
  for (const std::string& name : hello.capabilities) out.add_capabilities(name);
  out.set_sender(hello.sender.str());
  out.set_incarnation(hello.incarnation);
  out.set_peer_incarnation(hello.peer_incarnation);
  out.set_pair_epoch(hello.pair_epoch);
  out.set_sent(hello.sent);
  out.set_acknowledged(hello.acknowledged);
  out.set_received(hello.received);
  out.set_id_key(to_string_of(hello.id_key));
  if (hello.heard.ordinal != 0) write(hello.heard, *out.mutable_heard());
  out.set_doubt(static_cast<wire::Doubt>(hello.doubt));
}

void write(const Accounts::Side& side, wire::Side& out) {
  out.set_extents(side.extents);
  out.set_bits(side.bits);
}

void write(const Accounts& accounts, wire::Accounts& out) {
  out.set_sent(accounts.sent);
  out.set_in(accounts.in);
  out.set_macs(accounts.macs);
  out.set_quarantined(accounts.quarantined);
  write(accounts.own, *out.mutable_own());
  write(accounts.peer, *out.mutable_peer());
  out.set_digest(to_string_of(accounts.digest));
}

void write(const Heartbeat& heartbeat, wire::Heartbeat& out) {
  if (heartbeat.accounts) write(*heartbeat.accounts, *out.mutable_accounts());
  if (heartbeat.note) {
    out.mutable_note()->set_link(heartbeat.note->link.str());
    out.mutable_note()->set_bytes(heartbeat.note->bytes);
  }
}

void write(const BlockOffer& offer, wire::Message& message) {
  wire::BlockOffer& out = *message.mutable_block_offer();
  out.set_link(offer.link.str());
  out.set_block(to_string_of(offer.block.bytes()));
  out.set_size(offer.size);
  out.set_leader_bytes(offer.leader_bytes);
  out.set_tag(to_string_of(offer.tag));
}

void write(const BlockAccept& accept, wire::Message& message) {
  wire::BlockAccept& out = *message.mutable_block_accept();
  out.set_link(accept.link.str());
  out.set_block(to_string_of(accept.block.bytes()));
  out.set_first_extent(accept.first_extent);
  out.set_leader_bytes(accept.leader_bytes);
}

void write(const BlockReject& reject, wire::Message& message) {
  wire::BlockReject& out = *message.mutable_block_reject();
  out.set_link(reject.link.str());
  out.set_block(to_string_of(reject.block.bytes()));
  out.set_reason(static_cast<wire::BlockRejectReason>(reject.reason));
}

void write(const Assign& assign, wire::Message& message) {
  wire::Assign& out = *message.mutable_assign();
  out.set_record(assign.record);
  out.set_master(assign.master.str());
  for (const SaeId& slave : assign.slaves) out.add_slaves(slave.str());
  out.set_key_count(assign.key_count);
  out.set_key_bytes(assign.key_bytes);
  out.set_life_ms(assign.life_ms);
  write_ranges(assign.ranges, *out.mutable_ranges());
  out.set_under_pad(to_string_of(assign.under_pad));
}

void write(const AssignRefuse& refuse, wire::Message& message) {
  wire::AssignRefuse& out = *message.mutable_assign_refuse();
  out.set_record(refuse.record);
  out.set_reason(static_cast<wire::AssignRefuseReason>(refuse.reason));
}

void write(const Void& voided, wire::Message& message) { message.mutable_void_()->set_record(voided.record); }

void write(const ExtentRequest& request, wire::Message& message) {
  message.mutable_extent_request()->set_wanted_bytes(request.wanted_bytes);
}

void write(const ExtentGive& give, wire::Message& message) {
  message.mutable_extent_give()->mutable_extents()->Add(give.extents.begin(), give.extents.end());
}

void write(const Burn& burn, wire::Message& message) {
  write_ranges(burn.ranges, *message.mutable_burn()->mutable_ranges());
}

void write(const Message& message, wire::Message& out) {
  std::visit([&](const auto& kind) { write(kind, out); }, message);
}

void write(const Frame& frame, wire::Frame& out) {
  out.set_acknowledge(frame.acknowledge);
  if (const auto* hello = std::get_if<Hello>(&frame.body)) {
    write(*hello, *out.mutable_hello());
  } else if (const auto* numbered = std::get_if<Numbered>(&frame.body)) {
    out.mutable_numbered()->set_sequence(numbered->sequence);
    write(numbered->message, *out.mutable_numbered()->mutable_message());
  } else {
    write(std::get<Heartbeat>(frame.body), *out.mutable_heartbeat());
  }
  if (frame.mark.ordinal != 0) write(frame.mark, *out.mutable_mark());
}

// --- wire to values
// ----------------------------------------------------------------------------------------------------------------

// Reads fields and remembers the first that has not the form of its type; the caller asks once, at the end.
class FieldReader {
 public:
  template <class Id>
  Id id(const std::string& text, const char* field) {
    Result<Id> parsed = Id::parse(text);
    if (parsed) return *std::move(parsed);
    note(field, " is no valid ID");
    return Id();
  }

  template <std::size_t N>
  std::array<std::uint8_t, N> fixed(const std::string& bytes, const char* field) {
    std::array<std::uint8_t, N> out{};
    if (bytes.size() == N) {
      std::ranges::copy(bytes, out.begin());
    } else {
      note(field, " has the wrong length");
    }
    return out;
  }

  void note(const char* field, const char* what) {
    if (!problem_) problem_ = Error{ErrorCode::kInvalid, std::string(field) + what};
  }

  const std::optional<Error>& problem() const { return problem_; }

 private:
  std::optional<Error> problem_;
};

template <class WireRanges>
std::vector<Range> read_ranges(const WireRanges& in) {
  std::vector<Range> ranges;
  ranges.reserve(static_cast<std::size_t>(in.size()));
  for (const wire::Range& range : in) ranges.push_back({range.extent(), range.offset(), range.size()});
  return ranges;
}

Mark read(const wire::Mark& in, FieldReader& reader) {
  return {in.ordinal(), in.life(), in.progress(), reader.fixed<16>(in.proof(), "mark: proof")};
}

Hello read(const wire::Hello& in, FieldReader& reader) {
  Hello hello;
  hello.version_min = in.version_min();
  hello.version_max = in.version_max();
  hello.capabilities.assign(in.capabilities().begin(), in.capabilities().end());
  hello.sender = reader.id<KmeId>(in.sender(), "hello: sender");
  hello.incarnation = in.incarnation();
  hello.peer_incarnation = in.peer_incarnation();
  hello.pair_epoch = in.pair_epoch();
  hello.sent = in.sent();
  hello.acknowledged = in.acknowledged();
  hello.received = in.received();
  hello.id_key = reader.fixed<32>(in.id_key(), "hello: id_key");
  if (in.has_heard()) hello.heard = read(in.heard(), reader);
  if (wire::Doubt_IsValid(in.doubt())) hello.doubt = static_cast<Doubt>(in.doubt());
  return hello;
}

Accounts::Side read(const wire::Side& in) { return {in.extents(), in.bits()}; }

Accounts read(const wire::Accounts& in, FieldReader& reader) {
  return {in.sent(),
          in.in(),
          in.macs(),
          in.quarantined(),
          read(in.own()),
          read(in.peer()),
          reader.fixed<16>(in.digest(), "accounts: digest")};
}

Heartbeat read(const wire::Heartbeat& in, FieldReader& reader) {
  Heartbeat heartbeat;
  if (in.has_accounts()) heartbeat.accounts = read(in.accounts(), reader);
  if (in.has_note()) heartbeat.note = LinkNote{reader.id<LinkId>(in.note().link(), "note: link"), in.note().bytes()};
  return heartbeat;
}

BlockOffer read(const wire::BlockOffer& in, FieldReader& reader) {
  BlockOffer offer;
  offer.link = reader.id<LinkId>(in.link(), "block_offer: link");
  offer.block = BlockId(reader.fixed<16>(in.block(), "block_offer: block"));
  offer.size = in.size();
  offer.leader_bytes = in.leader_bytes();
  offer.tag = reader.fixed<16>(in.tag(), "block_offer: tag");
  return offer;
}

BlockAccept read(const wire::BlockAccept& in, FieldReader& reader) {
  BlockAccept accept;
  accept.link = reader.id<LinkId>(in.link(), "block_accept: link");
  accept.block = BlockId(reader.fixed<16>(in.block(), "block_accept: block"));
  accept.first_extent = in.first_extent();
  accept.leader_bytes = in.leader_bytes();
  return accept;
}

BlockReject read(const wire::BlockReject& in, FieldReader& reader) {
  BlockReject reject;
  reject.link = reader.id<LinkId>(in.link(), "block_reject: link");
  reject.block = BlockId(reader.fixed<16>(in.block(), "block_reject: block"));
  reject.reason = static_cast<BlockRejectReason>(in.reason());
  return reject;
}

Assign read(const wire::Assign& in, FieldReader& reader) {
  Assign assign;
  assign.record = in.record();
  assign.master = reader.id<SaeId>(in.master(), "assign: master");
  for (const std::string& slave : in.slaves()) assign.slaves.push_back(reader.id<SaeId>(slave, "assign: a slave"));
  assign.key_count = in.key_count();
  assign.key_bytes = in.key_bytes();
  assign.life_ms = in.life_ms();
  assign.ranges = read_ranges(in.ranges());
  assign.under_pad.assign(in.under_pad().begin(), in.under_pad().end());
  return assign;
}

AssignRefuse read(const wire::AssignRefuse& in) {
  return {.record = in.record(), .reason = static_cast<AssignRefuseReason>(in.reason())};
}

Message read(const wire::Message& in, FieldReader& reader) {
  switch (in.body_case()) {
    case wire::Message::kBlockOffer:
      return read(in.block_offer(), reader);
    case wire::Message::kBlockAccept:
      return read(in.block_accept(), reader);
    case wire::Message::kBlockReject:
      return read(in.block_reject(), reader);
    case wire::Message::kAssign:
      return read(in.assign(), reader);
    case wire::Message::kAssignRefuse:
      return read(in.assign_refuse());
    case wire::Message::kVoid:
      return Void{.record = in.void_().record()};
    case wire::Message::kExtentRequest:
      return ExtentRequest{.wanted_bytes = in.extent_request().wanted_bytes()};
    case wire::Message::kExtentGive: {
      const auto& extents = in.extent_give().extents();
      return ExtentGive{.extents = {extents.begin(), extents.end()}};
    }
    case wire::Message::kBurn:
      return Burn{.ranges = read_ranges(in.burn().ranges())};
    case wire::Message::BODY_NOT_SET:
      break;
  }
  reader.note("message", " has no body that this version knows");
  return Void{};
}

Frame read(const wire::Frame& in, FieldReader& reader) {
  Frame frame{.acknowledge = in.acknowledge(), .body = Heartbeat{}};
  if (in.has_mark()) frame.mark = read(in.mark(), reader);
  switch (in.body_case()) {
    case wire::Frame::kHello:
      frame.body = read(in.hello(), reader);
      break;
    case wire::Frame::kNumbered:
      frame.body = Numbered{in.numbered().sequence(), read(in.numbered().message(), reader)};
      break;
    case wire::Frame::kHeartbeat:
      frame.body = read(in.heartbeat(), reader);
      break;
    case wire::Frame::BODY_NOT_SET:
      reader.note("frame", " has no body that this version knows");
      break;
  }
  return frame;
}

template <class Wire, class Value>
std::string encode_as(const Value& value) {
  assert(check_bounds(value).has_value());
  Wire out;
  write(value, out);
  std::string bytes = out.SerializeAsString();
  assert(bytes.size() <= kMaxFrameBytes);
  return bytes;
}

template <class Wire, class Value>
Result<Value> decode_as(std::span<const std::uint8_t> bytes) {
  if (bytes.size() > kMaxFrameBytes) return fail(ErrorCode::kInvalid, "longer than a frame may be");
  Wire in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return fail(ErrorCode::kInvalid, "not in the form of peer.proto");
  }
  FieldReader reader;
  Value value = read(in, reader);
  if (const std::optional<Error>& problem = reader.problem()) return std::unexpected(*problem);
  if (Result<void> checked = check_bounds(value); !checked) return std::unexpected(std::move(checked.error()));
  return value;
}

}  // namespace

std::string encode(const Frame& frame) { return encode_as<wire::Frame>(frame); }
Result<Frame> decode(std::span<const std::uint8_t> bytes) { return decode_as<wire::Frame, Frame>(bytes); }

std::string encode_message(const Message& message) { return encode_as<wire::Message>(message); }
Result<Message> decode_message(std::span<const std::uint8_t> bytes) { return decode_as<wire::Message, Message>(bytes); }

}  // namespace qkms::api
