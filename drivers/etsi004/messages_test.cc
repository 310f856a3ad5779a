#include "drivers/etsi004/messages.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace qkms::drivers::etsi004 {
namespace {

constexpr Version kVersion = {1, 0, 1};
constexpr StreamId kStream = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                              0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
const std::string kStreamHex = "00112233445566778899aabbccddeeff";

// Hexadecimal digits; blanks do not count.
std::vector<std::uint8_t> hex(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  int high = -1;
  for (const char c : text) {
    if (c == ' ') continue;
    if (high < 0) {
      high = hex_value(c);
    } else {
      bytes.push_back(static_cast<std::uint8_t>(high << 4 | hex_value(c)));
      high = -1;
    }
  }
  return bytes;
}

std::string zeroes(std::size_t count) { return std::string(2 * count, '0'); }

// chunk 64, max 1000, min 256, jitter 1, priority 2, timeout 5000, TTL 60
const std::string kQosHex = "00000040 000003e8 00000100 00000001 00000002 00001388 0000003c";
const std::string kMimeHex = "6170706c69636174696f6e2f6a736f6e";  // application/json
const std::string kEtsiQos = kQosHex + kMimeHex + "00";
const std::string kFixedQos = kQosHex + kMimeHex + zeroes(240);
const Qos kQos = {64, 1000, 256, 1, 2, 5000, 60, "application/json"};

std::string qos_hex(Dialect dialect) { return dialect == Dialect::kEtsiC ? kEtsiQos : kFixedQos; }

class BothDialects : public testing::TestWithParam<Dialect> {};
INSTANTIATE_TEST_SUITE_P(Messages, BothDialects, testing::Values(Dialect::kEtsiC, Dialect::kFixedMime),
                         [](const auto& each) { return each.param == Dialect::kEtsiC ? "etsi_c" : "fixed_mime"; });

// --- requests

TEST(Messages, OpenRequestInTheEtsiDialect) {
  const OpenRequest request{"a", "bc", kQos, kStream};
  // 2 + 3 + 28 + 17 + 16 = 66
  EXPECT_EQ(encode(Dialect::kEtsiC, kVersion, request), hex("01000102 00000042 6100 626300" + kEtsiQos + kStreamHex));
}

TEST(Messages, OpenRequestInTheFixedDialect) {
  const OpenRequest request{"a", "bc", kQos, kStream};
  // 2 + 3 + 28 + 256 + 16 = 305
  EXPECT_EQ(encode(Dialect::kFixedMime, kVersion, request),
            hex("01000102 00000131 6100 626300" + kFixedQos + kStreamHex));
}

TEST(Messages, OpenRequestWithoutMetadataAndWithALongMimetype) {
  Qos qos = kQos;
  qos.metadata_mimetype.clear();
  EXPECT_EQ(encode(Dialect::kEtsiC, kVersion, OpenRequest{"", "", qos, {}}),
            hex("01000102 0000002f 0000" + kQosHex + "00" + zeroes(16)));
  qos.metadata_mimetype = std::string(300, 'x');
  EXPECT_EQ(encode(Dialect::kEtsiC, kVersion, OpenRequest{"", "", qos, {}}).size(), 8 + 2 + 28 + 256 + 16u);
  EXPECT_EQ(encode(Dialect::kFixedMime, kVersion, OpenRequest{"", "", qos, {}}).size(), 8 + 2 + 28 + 256 + 16u);
}

TEST(Messages, GetAndCloseRequests) {
  const GetRequest request{kStream, 0xfffffffe, 3};
  EXPECT_EQ(encode(Dialect::kEtsiC, kVersion, request),
            hex("01000104 0000001b" + kStreamHex + "fffffffe 00000003 000000"));
  EXPECT_EQ(encode(Dialect::kFixedMime, kVersion, request),
            hex("01000104 00000018" + kStreamHex + "fffffffe 00000003"));
  EXPECT_EQ(encode_close(kVersion, kStream), hex("01000108 00000010" + kStreamHex));
}

// --- headers

Result<Header> header(std::string_view text, Service expected) {
  const auto bytes = hex(text);
  return read_header(std::span<const std::uint8_t, kHeaderBytes>(bytes), kVersion, expected);
}

TEST(Messages, HeaderOfTheExpectedServiceOrAnError) {
  EXPECT_EQ(header("01000105 00000010", Service::kGetResponse)->payload_bytes, 16u);
  EXPECT_EQ(header("01090905 00000000", Service::kGetResponse)->payload_bytes, 0u);  // minor numbers may differ
  EXPECT_EQ(header("01000100 00000004", Service::kGetResponse)->service, Service::kError);
  EXPECT_EQ(header("01000103 00000010", Service::kGetResponse).error().text,
            "the device answers with service 0x03 instead of 0x05");
  EXPECT_FALSE(header("01000104 00000010", Service::kGetResponse));
  EXPECT_FALSE(header("010001ff 00000010", Service::kGetResponse));
  EXPECT_EQ(header("02000105 00000010", Service::kGetResponse).error().text, "the device speaks version 2.0.1");
}

TEST(Messages, HeaderWithASizeThatNoAnswerHas) {
  for (const char* size : {"00101011", "80000000", "ffffffff"}) {
    for (const Service service : {Service::kOpenResponse, Service::kGetResponse, Service::kCloseResponse}) {
      const std::string number = "0" + std::to_string(static_cast<int>(service));
      EXPECT_FALSE(header("010001" + number + size, service)) << size;
    }
  }
  EXPECT_TRUE(header("01000105 00101010", Service::kGetResponse));  // 4 + 4 + 4 + 2^20 + 4 + 4096
  EXPECT_TRUE(header("01000103 00000130", Service::kOpenResponse));
  EXPECT_FALSE(header("01000103 00000131", Service::kOpenResponse));
  EXPECT_FALSE(header("01000109 00000005", Service::kCloseResponse));
  EXPECT_FALSE(header("01000100 00000401", Service::kCloseResponse));
}

// --- answers

TEST_P(BothDialects, OpenResponses) {
  for (const auto& [number, status] :
       {std::pair("00000000", Status::kOk), {"00000001", Status::kPeerNotYetThere}, {"00000007", Status::kQosNotMet}}) {
    const auto response = decode_open_response(GetParam(), hex(number + qos_hex(GetParam()) + kStreamHex));
    ASSERT_TRUE(response) << response.error().text;
    EXPECT_EQ(response->status, status);
    EXPECT_EQ(response->qos, kQos);
    EXPECT_EQ(response->stream, kStream);
    EXPECT_FALSE(decode_open_response(GetParam(), hex(number)));  // these must say what was granted or offered
  }
  for (const char* number : {"00000002", "00000004", "00000005", "00000006", "00000008", "deadbeef"}) {
    const auto alone = decode_open_response(GetParam(), hex(number));
    ASSERT_TRUE(alone);
    EXPECT_EQ(alone->qos, std::nullopt);
    EXPECT_TRUE(decode_open_response(GetParam(), hex(number + qos_hex(GetParam()) + kStreamHex)));
  }
}

TEST_P(BothDialects, OpenResponsesOfTheOtherDialectOrWithoutANul) {
  const Dialect other = GetParam() == Dialect::kEtsiC ? Dialect::kFixedMime : Dialect::kEtsiC;
  EXPECT_FALSE(decode_open_response(GetParam(), hex("00000000" + qos_hex(other) + kStreamHex)));
  std::string full = "00000000" + kQosHex;
  for (std::size_t i = 0; i < kMaxMimetypeBytes; ++i) full += "78";
  EXPECT_FALSE(decode_open_response(GetParam(), hex(full + kStreamHex)));
  full.replace(full.size() - 2, 2, "00");
  EXPECT_EQ(decode_open_response(GetParam(), hex(full + kStreamHex))->qos->metadata_mimetype, std::string(255, 'x'));
}

TEST_P(BothDialects, GetResponses) {
  const auto response = decode_get_response(GetParam(), hex("00000000 00000007 00000003 aabbcc 00000002 7b7d"));
  ASSERT_TRUE(response) << response.error().text;
  EXPECT_EQ(response->status, Status::kOk);
  EXPECT_EQ(response->index, 7u);
  EXPECT_TRUE(response->key.equals(SecretBytes::copy_of(hex("aabbcc"))));
  EXPECT_EQ(response->metadata, "{}");
  const auto padded = decode_get_response(GetParam(), hex("00000000 00000007 00000001 aa 00000005 7b7d000000"));
  EXPECT_EQ(padded->metadata, "{}");
  for (const char* number : {"00000002", "00000003", "00000004", "00000006", "00000009"}) {
    EXPECT_TRUE(decode_get_response(GetParam(), hex(number)));
    const std::string head = number + std::string("00000007");
    EXPECT_TRUE(decode_get_response(GetParam(), hex(head + "00000000 00000000")));
    EXPECT_FALSE(decode_get_response(GetParam(), hex(head + "00000001 aa 00000000")));  // a key where there is none
  }
}

TEST(Messages, NeededMetadataSize) {
  const auto fixed = decode_get_response(Dialect::kFixedMime, hex("00000008 00000400"));
  ASSERT_TRUE(fixed);
  EXPECT_EQ(fixed->status, Status::kMetadataTooSmall);
  EXPECT_EQ(fixed->needed_metadata_bytes, 1024u);
  const auto etsi = decode_get_response(Dialect::kEtsiC, hex("00000008 00000007 00000000 00000400"));
  ASSERT_TRUE(etsi);
  EXPECT_EQ(etsi->needed_metadata_bytes, 1024u);
  EXPECT_EQ(
      decode_get_response(Dialect::kEtsiC, hex("00000008 00000007 00000000 00000002 0000"))->needed_metadata_bytes, 2u);
  EXPECT_FALSE(decode_get_response(Dialect::kEtsiC, hex("00000008 00000400")));
  EXPECT_FALSE(decode_get_response(Dialect::kEtsiC, hex("00000008 00000007 00000001 aa 00000002")));
  EXPECT_FALSE(decode_get_response(Dialect::kFixedMime, hex("00000008 00000007 00000000 00000400")));
}

// Threat T29: lengths that lie, in every field that has one.
TEST_P(BothDialects, GetResponsesWithLengthsThatLie) {
  for (const char* size : {"00000004", "00100001", "80000000", "ffffffff", "fffffffc"}) {
    EXPECT_FALSE(decode_get_response(GetParam(), hex("00000000 00000007" + std::string(size) + "aabbcc 00000000")));
    EXPECT_FALSE(decode_get_response(GetParam(), hex("00000000 00000007 00000001 aa" + std::string(size) + "7b7d")));
  }
  EXPECT_TRUE(decode_get_response(GetParam(), hex("00000000 00000007 00000000 00000000")));  // an empty key is seen
  const std::string most = "00000000 00000007 00000001 aa 00001000" + zeroes(4096);
  EXPECT_TRUE(decode_get_response(GetParam(), hex(most)));
  EXPECT_FALSE(decode_get_response(GetParam(), hex("00000000 00000007 00000001 aa 00001001" + zeroes(4097))));
  const std::string chunk = "00000000 00000007 00100000" + zeroes(1 << 20) + "00000000";
  EXPECT_EQ(decode_get_response(GetParam(), hex(chunk))->key.size(), kMaxChunkBytes);
}

template <class Decode>
void expect_no_part_is_whole(const std::vector<std::uint8_t>& payload, Decode decode) {
  ASSERT_TRUE(decode(Bytes(payload)));
  for (std::size_t size = 0; size < payload.size(); ++size) EXPECT_FALSE(decode(Bytes(payload).first(size))) << size;
  std::vector<std::uint8_t> longer = payload;
  longer.push_back(0);
  EXPECT_FALSE(decode(Bytes(longer)));
}

TEST_P(BothDialects, AnswersCutAtEveryByteAndOneByteTooLong) {
  expect_no_part_is_whole(hex("00000000" + qos_hex(GetParam()) + kStreamHex),
                          [](Bytes bytes) { return decode_open_response(GetParam(), bytes).has_value(); });
  expect_no_part_is_whole(hex("00000000 00000007 00000003 aabbcc 00000002 7b7d"),
                          [](Bytes bytes) { return decode_get_response(GetParam(), bytes).has_value(); });
  expect_no_part_is_whole(hex("00000000"), [](Bytes bytes) { return decode_close_response(bytes).has_value(); });
}

}  // namespace
}  // namespace qkms::drivers::etsi004
