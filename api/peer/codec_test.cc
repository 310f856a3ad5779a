#include "api/peer/codec.h"

#include <gtest/gtest.h>

#include <functional>
#include <string_view>

#include "api/peer/peer.pb.h"
#include "api/peer/samples.h"

namespace qkms::api {
namespace {

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

TEST(PeerCodec, GivesBackEveryKindOfFrame) {
  for (const auto& [name, frame] : samples::every_kind()) {
    SCOPED_TRACE(name);
    const Result<Frame> decoded = decode(bytes_of(encode(frame)));
    ASSERT_TRUE(decoded.has_value()) << decoded.error().text;
    EXPECT_EQ(*decoded, frame);
  }
}

TEST(PeerCodec, FitsTheLargestFramesIntoTheBound) {
  for (const auto& [name, frame] : samples::largest()) {
    SCOPED_TRACE(name);
    const std::string bytes = encode(frame);
    EXPECT_LE(bytes.size(), kMaxFrameBytes);
    const Result<Frame> decoded = decode(bytes_of(bytes));
    ASSERT_TRUE(decoded.has_value()) << decoded.error().text;
    EXPECT_EQ(*decoded, frame);
  }
}

TEST(PeerCodec, GivesBackAMessageAlone) {
  for (const auto& [name, frame] : samples::every_kind()) {
    const auto* numbered = std::get_if<Numbered>(&frame.body);
    if (numbered == nullptr) continue;
    SCOPED_TRACE(name);
    const Result<Message> decoded = decode_message(bytes_of(encode_message(numbered->message)));
    ASSERT_TRUE(decoded.has_value()) << decoded.error().text;
    EXPECT_EQ(*decoded, numbered->message);
  }
}

// But for its mark, which comes last: a frame without one is whole.
TEST(PeerCodec, RefusesAFrameCutAtAnyByte) {
  for (auto& [name, frame] : samples::every_kind()) {
    frame.mark = {};
    const std::string bytes = encode(frame);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const Result<Frame> decoded = decode(bytes_of(std::string_view(bytes).substr(0, size)));
      ASSERT_FALSE(decoded.has_value()) << name << " cut to " << size << " of " << bytes.size() << " bytes";
      EXPECT_EQ(decoded.error().code, ErrorCode::kInvalid);
    }
  }
}

TEST(PeerCodec, RefusesAMarkCutAtAnyByte) {
  const Frame frame{.acknowledge = 7, .body = Heartbeat{}, .mark = samples::mark()};
  const std::size_t body = encode({.acknowledge = 7, .body = Heartbeat{}}).size();
  const std::string bytes = encode(frame);
  for (std::size_t size = body + 1; size < bytes.size(); ++size)
    EXPECT_FALSE(decode(bytes_of(std::string_view(bytes).substr(0, size))).has_value()) << size;
}

// TLS keeps flipped bits away from the codec; what counts here is that no input does harm, and that what passes is
// well-formed.
TEST(PeerCodec, SurvivesAnyFlippedBit) {
  for (const auto& [name, frame] : samples::every_kind()) {
    std::string bytes = encode(frame);
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      const auto mask = static_cast<char>(1 << bit % 8);
      bytes[bit / 8] ^= mask;
      if (const Result<Frame> decoded = decode(bytes_of(bytes))) {
        EXPECT_EQ(decode(bytes_of(encode(*decoded))), *decoded) << name << ", bit " << bit;
      }
      bytes[bit / 8] ^= mask;
    }
  }
}

// --- bounds
// ------------------------------------------------------------------------------------------------------------------------

struct BoundCase {
  const char* name;
  Frame frame;
};

template <class Kind>
Frame with(Kind kind, const std::function<void(Kind&)>& change) {
  change(kind);
  return samples::numbered(kind);
}

Frame hello_with(const std::function<void(Hello&)>& change) {
  Hello hello = samples::hello();
  change(hello);
  return {.acknowledge = 0, .body = hello};
}

Frame assign_with(const std::function<void(Assign&)>& change) { return with<Assign>(samples::assign(), change); }

template <class Kind>
Kind sample() {
  for (const auto& named : samples::every_kind()) {
    const auto* numbered = std::get_if<Numbered>(&named.frame.body);
    if (numbered == nullptr) continue;
    if (const auto* kind = std::get_if<Kind>(&numbered->message)) return *kind;
  }
  ADD_FAILURE() << "no sample of this kind";
  return {};
}

std::vector<SaeId> slaves(std::size_t count) {
  std::vector<SaeId> ids;
  for (std::size_t i = 0; i < count; ++i) ids.push_back(*SaeId::parse("SAE-" + std::to_string(i)));
  return ids;
}

void expect_refused(const std::vector<BoundCase>& cases) {
  for (const auto& [name, frame] : cases) {
    SCOPED_TRACE(name);
    const Result<void> checked = check_bounds(frame);
    ASSERT_FALSE(checked.has_value());
    EXPECT_EQ(checked.error().code, ErrorCode::kInvalid);
    EXPECT_FALSE(checked.error().text.empty());
  }
}

TEST(PeerBounds, RefusesAHelloOverAnyBound) {
  expect_refused({
      {"version 0", hello_with([](Hello& h) { h.version_min = 0; })},
      {"versions reversed", hello_with([](Hello& h) { h.version_min = h.version_max + 1; })},
      {"no sender", hello_with([](Hello& h) { h.sender = KmeId(); })},
      {"too many capabilities", hello_with([](Hello& h) { h.capabilities.assign(kMaxCapabilities + 1, "c"); })},
      {"empty capability", hello_with([](Hello& h) { h.capabilities = {""}; })},
      {"long capability", hello_with([](Hello& h) { h.capabilities = {std::string(kMaxCapabilityBytes + 1, 'c')}; })},
      {"unprintable capability", hello_with([](Hello& h) { h.capabilities = {"a\nb"}; })},
      {"half a mark", hello_with([](Hello& h) { h.heard.ordinal = 0; })},
      {"a mark of its own", {.acknowledge = 0, .body = samples::hello(), .mark = samples::mark()}},
  });
}

TEST(PeerBounds, RefusesAnAssignOverAnyBound) {
  expect_refused({
      {"no master", assign_with([](Assign& a) { a.master = SaeId(); })},
      {"no slaves", assign_with([](Assign& a) { a.slaves.clear(); })},
      {"too many slaves", assign_with([](Assign& a) { a.slaves = slaves(kMaxSlavesPerMessage + 1); })},
      {"an empty slave", assign_with([](Assign& a) { a.slaves.push_back(SaeId()); })},
      {"a slave twice", assign_with([](Assign& a) { a.slaves.push_back(a.slaves[0]); })},
      {"no record", assign_with([](Assign& a) { a.record = 0; })},
      {"a record that no key ID has room for", assign_with([](Assign& a) { a.record = kMaxRecordNumber + 1; })},
      {"too many keys", assign_with([](Assign& a) {
         a.key_count = kMaxKeysPerMessage + 1;
         a.key_bytes = 1;
         a.ranges = {{1, 0, a.key_count}};
         a.under_pad.clear();
       })},
      {"no keys", assign_with([](Assign& a) { a.key_count = 0; })},
      {"empty keys", assign_with([](Assign& a) { a.key_bytes = 0; })},
      {"no life", assign_with([](Assign& a) { a.life_ms = 0; })},
      {"life that would overflow a clock", assign_with([](Assign& a) { a.life_ms = kMaxLifeMs + 1; })},
      {"no ranges", assign_with([](Assign& a) { a.ranges.clear(); })},
      {"too many ranges", assign_with([](Assign& a) {
         a.ranges.assign(kMaxRangesPerMessage + 1, {1, 0, 1});
         a.key_count = kMaxRangesPerMessage + 1;
         a.key_bytes = 1;
       })},
      {"an empty range", assign_with([](Assign& a) { a.ranges.push_back({7, 0, 0}); })},
      {"a range past the end", assign_with([](Assign& a) { a.ranges[0].offset = 0xffffffff - a.ranges[0].size + 1; })},
      {"ranges one byte short", assign_with([](Assign& a) { --a.ranges[0].size; })},
      {"ranges one byte long", assign_with([](Assign& a) { ++a.ranges[0].size; })},
      {"a product that is equal modulo 2^32", assign_with([](Assign& a) {
         a.key_count = 0x80000001;
         a.key_bytes = 2;
         a.ranges = {{1, 0, 2}};
       })},
      {"a pad of another size", assign_with([](Assign& a) { a.under_pad.assign(95, 1); })},
      {"a pad over the bound", assign_with([](Assign& a) {
         a.key_count = 1;
         a.key_bytes = kMaxUnderPadBytes + 1;
         a.ranges = {{1, 0, kMaxUnderPadBytes + 1}};
         a.under_pad.assign(kMaxUnderPadBytes + 1, 1);
       })},
  });
}

Accounts accounts_with(Accounts::Side own, std::uint64_t in) {
  Accounts accounts;
  accounts.own = own;
  accounts.in = in;
  return accounts;
}

Hello hello_in_epoch(std::uint64_t epoch) {
  Hello hello = samples::hello();
  hello.pair_epoch = epoch;
  return hello;
}

TEST(PeerBounds, RefusesOtherMessagesOverAnyBound) {
  const auto offer = [](auto change) { return with<BlockOffer>(sample<BlockOffer>(), change); };
  const auto reject = [](auto change) { return with<BlockReject>(sample<BlockReject>(), change); };
  const auto burn = [](auto change) { return with<Burn>(sample<Burn>(), change); };
  expect_refused({
      {"sequence 0", {.acknowledge = 0, .body = Numbered{0, Void{1}}}},
      {"half a mark", {.acknowledge = 0, .body = Heartbeat{}, .mark = {.ordinal = 0, .life = 1}}},
      {"a note of no link", {.acknowledge = 0, .body = Heartbeat{{}, LinkNote{LinkId(), "a"}}}},
      {"a note that is too long",
       {.acknowledge = 0,
        .body = Heartbeat{{}, LinkNote{*LinkId::parse("l"), std::string(kMaxLinkNoteBytes + 1, 'a')}}}},
      {"accounts of bits in no extent", {.acknowledge = 0, .body = Heartbeat{accounts_with({0, 8}, 0)}}},
      {"accounts of extents without bits", {.acknowledge = 0, .body = Heartbeat{accounts_with({1, 0}, 0)}}},
      {"accounts of too many bits", {.acknowledge = 0, .body = Heartbeat{accounts_with({1, (1ULL << 62) + 1}, 0)}}},
      {"accounts of too much that came in", {.acknowledge = 0, .body = Heartbeat{accounts_with({1, 8}, ~0ULL)}}},
      {"a pair epoch that leaves no numbers", {.acknowledge = 0, .body = hello_in_epoch(kMaxPairEpoch + 1)}},
      {"offer without a link", offer([](BlockOffer& o) { o.link = LinkId(); })},
      {"offer of nothing", offer([](BlockOffer& o) { o.size = 0, o.leader_bytes = 0; })},
      {"offer with too much for the leader", offer([](BlockOffer& o) { o.leader_bytes = o.size + 1; })},
      {"accept without a link", with<BlockAccept>(sample<BlockAccept>(), [](BlockAccept& a) { a.link = LinkId(); })},
      {"reject without a link", reject([](BlockReject& r) { r.link = LinkId(); })},
      {"reject for reason 0", reject([](BlockReject& r) { r.reason = BlockRejectReason{0}; })},
      {"reject for reason 5", reject([](BlockReject& r) { r.reason = BlockRejectReason{5}; })},
      {"refuse for reason 0", samples::numbered(AssignRefuse{1, AssignRefuseReason{0}})},
      {"refuse for reason 3", samples::numbered(AssignRefuse{1, AssignRefuseReason{3}})},
      {"request for nothing", samples::numbered(ExtentRequest{0})},
      {"gift of nothing", samples::numbered(ExtentGive{})},
      {"gift of too many", samples::numbered(ExtentGive{std::vector<std::uint64_t>(kMaxExtentsPerMessage + 1, 1)})},
      {"burn of nothing", burn([](Burn& b) { b.ranges.clear(); })},
      {"burn of too many", burn([](Burn& b) { b.ranges.assign(kMaxRangesPerMessage + 1, {1, 0, 1}); })},
      {"burn of an empty range", burn([](Burn& b) { b.ranges[0].size = 0; })},
      {"burn past the end", burn([](Burn& b) { b.ranges[0] = {1, 1, 0xffffffff}; })},
  });
}

// --- bytes that encode() never makes
// -----------------------------------------------------------------------------------------------

struct WireCase {
  const char* name;
  std::function<void(wire::Frame&)> build;
};

void build_offer(wire::Frame& frame) {
  frame.mutable_numbered()->set_sequence(1);
  wire::BlockOffer& offer = *frame.mutable_numbered()->mutable_message()->mutable_block_offer();
  offer.set_link("link-ab");
  offer.set_block(std::string(16, 'b'));
  offer.set_size(100);
  offer.set_tag(std::string(16, 't'));
}

Result<Frame> decode_built(const std::function<void(wire::Frame&)>& build) {
  wire::Frame frame;
  build(frame);
  return decode(bytes_of(frame.SerializeAsString()));
}

wire::BlockOffer& offer_in(wire::Frame& frame) {
  build_offer(frame);
  return *frame.mutable_numbered()->mutable_message()->mutable_block_offer();
}

TEST(PeerCodec, RefusesFieldsOfTheWrongForm) {
  ASSERT_TRUE(decode_built(build_offer).has_value());
  const WireCase cases[] = {
      {"no body", [](wire::Frame& f) { f.set_acknowledge(1); }},
      {"numbered without a message", [](wire::Frame& f) { f.mutable_numbered()->set_sequence(1); }},
      {"message without a body",
       [](wire::Frame& f) { f.mutable_numbered()->mutable_message(), f.mutable_numbered()->set_sequence(1); }},
      {"block ID short", [](wire::Frame& f) { offer_in(f).set_block(std::string(15, 'b')); }},
      {"block ID long", [](wire::Frame& f) { offer_in(f).set_block(std::string(17, 'b')); }},
      {"tag short", [](wire::Frame& f) { offer_in(f).set_tag(std::string(15, 't')); }},
      {"tag long", [](wire::Frame& f) { offer_in(f).set_tag(std::string(17, 't')); }},
      {"link with a control character", [](wire::Frame& f) { offer_in(f).set_link("a\nb"); }},
      {"link too long", [](wire::Frame& f) { offer_in(f).set_link(std::string(kMaxIdBytes + 1, 'l')); }},
      {"size 0", [](wire::Frame& f) { offer_in(f).set_size(0); }},
      {"id_key short",
       [](wire::Frame& f) {
         f.mutable_hello()->set_version_min(1), f.mutable_hello()->set_version_max(1);
         f.mutable_hello()->set_sender("KME-A");
         f.mutable_hello()->set_id_key(std::string(31, 'k'));
       }},
      {"accounts without a digest", [](wire::Frame& f) { f.mutable_heartbeat()->mutable_accounts()->set_sent(1); }},
      {"mark without a proof", [](wire::Frame& f) { f.mutable_heartbeat(), f.mutable_mark()->set_ordinal(1); }},
      {"an empty mark", [](wire::Frame& f) { f.mutable_heartbeat(), f.mutable_mark(); }},
  };
  for (const auto& [name, build] : cases) {
    const Result<Frame> decoded = decode_built(build);
    ASSERT_FALSE(decoded.has_value()) << name;
    EXPECT_EQ(decoded.error().code, ErrorCode::kInvalid) << name;
  }
}

TEST(PeerCodec, RefusesBytesThatAreNoFrame) {
  const std::pair<const char*, std::string> cases[] = {
      {"nothing", ""},
      {"all zero", std::string(64, '\0')},
      {"all ones", std::string(64, '\xff')},
      {"over the bound", encode(samples::every_kind()[0].frame) + std::string(kMaxFrameBytes, '\0')},
      {"a body of a later version only", std::string("\x7a\x02\x08\x01", 4)},
      {"an open group", "\x0b"},
      {"groups nested a thousand deep", std::string(1000, '\x0b')},
  };
  for (const auto& [name, bytes] : cases) EXPECT_FALSE(decode(bytes_of(bytes)).has_value()) << name;
}

TEST(PeerCodec, IgnoresFieldsOfALaterVersion) {
  for (const auto& [name, frame] : samples::every_kind()) {
    const std::string later = encode(frame) + std::string("\xa2\x06\x03new", 6);  // field 100, three bytes
    EXPECT_EQ(decode(bytes_of(later)), frame) << name;
  }
}

TEST(PeerCodec, TakesADoubtOfALaterVersionForNone) {
  wire::Frame frame;
  ASSERT_TRUE(frame.ParseFromString(encode({.acknowledge = 0, .body = samples::doubtful_hello()})));
  frame.mutable_hello()->set_doubt(static_cast<wire::Doubt>(99));
  const Result<Frame> decoded = decode(bytes_of(frame.SerializeAsString()));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(std::get<Hello>(decoded->body).doubt, Doubt::kNone);
}

// What KMEs of before read that know no accounts, and send.
TEST(PeerCodec, HidesAccountsInAHeartbeat) {
  const std::string with = encode({.acknowledge = 7, .body = Heartbeat{samples::accounts()}});
  wire::Frame frame;
  ASSERT_TRUE(frame.ParseFromString(with));
  EXPECT_TRUE(frame.has_heartbeat());
  const std::string old = std::string("\x08\x07\x22\x00", 4);
  EXPECT_EQ(decode(bytes_of(old)), (Frame{.acknowledge = 7, .body = Heartbeat{}, .mark = {}}));
}

TEST(PeerCodecDeathTest, EncodesNothingThatItWouldNotDecode) {
  EXPECT_DEATH(encode_message(ExtentGive{}), "check_bounds");
}

}  // namespace
}  // namespace qkms::api
