// For tests and the fuzzers' seed corpus: one legal frame of every kind, and the largest of the kinds that can be
// large.
#pragma once

#include <string>
#include <vector>

#include "api/peer/bounds.h"
#include "api/peer/message.h"

namespace qkms::api::samples {

struct NamedFrame {
  std::string name;
  Frame frame;
};

inline Mark mark() {
  Mark mark{.ordinal = 5, .life = 0xfedcba9876543210, .progress = 300};
  mark.proof.fill(0x3c);
  return mark;
}

inline Frame numbered(Message message) {
  return {.acknowledge = 41, .body = Numbered{42, std::move(message)}, .mark = mark()};
}

inline BlockId block() { return BlockId({0xb0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff}); }

inline Hello hello() {
  Hello hello{.capabilities = {"relay", "pad"}, .sender = *KmeId::parse("KME-A"), .incarnation = 0x0123456789abcdef};
  hello.peer_incarnation = 77;
  hello.pair_epoch = 3;
  hello.sent = 1000;
  hello.acknowledged = 998;
  hello.received = 500;
  hello.id_key.fill(0xa5);
  hello.heard = mark();
  return hello;
}

// As KMEs that know no marks send it too.
inline Hello first_hello() {
  Hello hello;
  hello.sender = *KmeId::parse("KME-A");
  hello.incarnation = 1;
  hello.id_key.fill(0xa5);
  return hello;
}

inline Hello doubtful_hello() {
  Hello hello = samples::hello();
  hello.doubt = Doubt::kAccounts;
  return hello;
}

inline Accounts accounts() {
  Accounts accounts{.sent = 41, .in = 81'920, .macs = 256, .quarantined = 1024, .own = {3, 4096}, .peer = {10, 65'536}};
  accounts.digest.fill(0x3d);
  return accounts;
}

inline Assign assign() {
  return {.record = 9001,
          .master = *SaeId::parse("SAE-A"),
          .slaves = {*SaeId::parse("SAE-B"), *SaeId::parse("CN=enc 2,O=Example")},
          .key_count = 3,
          .key_bytes = 32,
          .life_ms = 86'400'000,
          .ranges = {{.extent = 5, .offset = 64, .size = 64}, {.extent = 6, .offset = 0, .size = 32}},
          .under_pad = {}};
}

inline Assign assign_under_pad() {
  Assign padded = assign();
  padded.under_pad.assign(96, 0x5a);
  return padded;
}

inline std::vector<NamedFrame> every_kind() {
  const LinkId link = *LinkId::parse("link-ab");
  Tag128 tag;
  tag.fill(0x77);
  return {
      {"hello", {.acknowledge = 0, .body = hello()}},
      {"hello of a first contact", {.acknowledge = 0, .body = first_hello()}},
      {"hello of one in doubt", {.acknowledge = 0, .body = doubtful_hello()}},
      {"heartbeat", {.acknowledge = 7, .body = Heartbeat{}, .mark = mark()}},
      {"heartbeat of a new pair", {.acknowledge = 0, .body = Heartbeat{}}},
      {"heartbeat with accounts", {.acknowledge = 7, .body = Heartbeat{accounts()}, .mark = mark()}},
      {"heartbeat with a note",
       {.acknowledge = 7, .body = Heartbeat{{}, LinkNote{link, std::string("\0\xff note", 7)}}}},
      {"heartbeat with accounts of nothing", {.acknowledge = 0, .body = Heartbeat{Accounts{}}}},
      {"block offer", numbered(BlockOffer{link, block(), 12'500, 6'234, tag})},
      {"block accept", numbered(BlockAccept{link, block(), 18, 1024})},
      {"block reject", numbered(BlockReject{link, block(), BlockRejectReason::kExpired})},
      {"assign", numbered(assign())},
      {"assign under pad", numbered(assign_under_pad())},
      {"assign refuse", numbered(AssignRefuse{9001, AssignRefuseReason::kUnreadable})},
      {"void", numbered(Void{9001})},
      {"void of record 0", numbered(Void{0})},
      {"extent request", numbered(ExtentRequest{65'536})},
      {"extent give", numbered(ExtentGive{{4, 5, 6, 1ULL << 60}})},
      {"burn", numbered(Burn{{{.extent = 8, .offset = 32, .size = 4'096}}})},
  };
}

// Every bound reached, with the numbers that take the most bytes.
inline std::vector<NamedFrame> largest() {
  const std::uint64_t high = ~0ULL;
  Hello hello = samples::hello();
  hello.capabilities.assign(kMaxCapabilities, std::string(kMaxCapabilityBytes, 'c'));
  hello.sender = *KmeId::parse(std::string(kMaxIdBytes, 'k'));
  hello.heard.ordinal = hello.heard.life = hello.heard.progress = high;

  Assign assign = assign_under_pad();
  assign.record = kMaxRecordNumber;
  assign.slaves.clear();
  for (std::size_t i = 0; i < kMaxSlavesPerMessage; ++i) {
    assign.slaves.push_back(*SaeId::parse(std::string(kMaxIdBytes - 1, 's') + static_cast<char>('0' + i)));
  }
  assign.key_count = kMaxRangesPerMessage;
  assign.key_bytes = kMaxUnderPadBytes / kMaxRangesPerMessage;
  assign.ranges.assign(kMaxRangesPerMessage, {.extent = high, .offset = 1U << 31, .size = assign.key_bytes});
  assign.under_pad.assign(kMaxUnderPadBytes, 0xff);

  return {
      {"largest hello", {.acknowledge = high, .body = hello}},
      {"largest assign", numbered(assign)},
      {"largest extent give", numbered(ExtentGive{std::vector<std::uint64_t>(kMaxExtentsPerMessage, high)})},
      {"largest burn", numbered(Burn{std::vector<Range>(kMaxRangesPerMessage, {high, 1U << 31, (1U << 31) - 1})})},
  };
}

}  // namespace qkms::api::samples
