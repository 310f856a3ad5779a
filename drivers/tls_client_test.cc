#include "drivers/tls_client.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <thread>

#include "drivers/testing/tls_device.h"

namespace qkms::drivers {
namespace {

constexpr Millis kLong = 30'000;

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

void echo(TlsDevice::Connection& connection) {
  while (const auto some = connection.read_some()) connection.write(*some);
}

class DeviceTlsTest : public testing::Test {
 protected:
  Result<std::unique_ptr<TlsClient>> connect(const TlsSettings& settings) {
    return TlsClient::connect(settings, TlsProtocol::kHttp, *waiter_);
  }
  // Why there is no connection, or "connected".
  std::string refusal(const TlsSettings& settings, ErrorCode code) {
    const auto client = connect(settings);
    if (client) return "connected";
    EXPECT_EQ(name_of(client.error().code), name_of(code)) << client.error().text;
    return client.error().text;
  }

  DevicePki pki_;
  std::stop_source stop_;
  std::unique_ptr<Waiter> waiter_ = std::move(Waiter::make(stop_.get_token()).value());
};

TEST_F(DeviceTlsTest, CarriesBytesBothWays) {
  TlsDevice device(pki_, echo);
  for (const TlsProtocol protocol : {TlsProtocol::kHttp, TlsProtocol::kUnnamed}) {
    auto client = TlsClient::connect(pki_.settings(device.port()), protocol, *waiter_);
    ASSERT_TRUE(client) << client.error().text;
    ASSERT_TRUE((*client)->is_idle());
    ASSERT_TRUE((*client)->send(bytes_of("hello"), kLong));
    std::array<std::uint8_t, 100> answer;
    std::string got;
    while (got.size() < 5) {
      const auto size = (*client)->receive(answer, kLong);
      ASSERT_TRUE(size) << size.error().text;
      got.append(answer.begin(), answer.begin() + *size);
    }
    EXPECT_EQ(got, "hello");
    EXPECT_TRUE((*client)->is_idle());
  }
}

TEST_F(DeviceTlsTest, TellsAnOrderlyEndFromABrokenOne) {
  std::array<std::uint8_t, 10> room;
  TlsDevice orderly(pki_, [](TlsDevice::Connection& connection) { connection.read_some(); });
  auto client = connect(pki_.settings(orderly.port()));
  ASSERT_TRUE(client && (*client)->send(bytes_of("x"), kLong));
  EXPECT_EQ((*client)->receive(room, kLong).value_or(99), 0u);
  EXPECT_FALSE((*client)->is_idle());
  TlsDevice dying(pki_, [](TlsDevice::Connection& connection) {
    connection.read_some();
    connection.die();
  });
  client = connect(pki_.settings(dying.port()));
  ASSERT_TRUE(client && (*client)->send(bytes_of("x"), kLong));
  const auto broken = (*client)->receive(room, kLong);
  ASSERT_FALSE(broken);
  EXPECT_EQ(name_of(broken.error().code), name_of(ErrorCode::kPeerUnreachable)) << broken.error().text;
}

TEST_F(DeviceTlsTest, GivesUpAtTheDeadlineAndAtOnceWhenItIsToStop) {
  TlsDevice device(pki_, [&](TlsDevice::Connection& connection) {
    connection.read_some();
    connection.hang();
  });
  auto client = connect(pki_.settings(device.port()));
  ASSERT_TRUE(client && (*client)->send(bytes_of("x"), kLong));
  std::array<std::uint8_t, 10> room;
  EXPECT_EQ((*client)->receive(room, 10).error().text,
            "127.0.0.1 port " + std::to_string(device.port()) + ": no answer in time");
  std::jthread stopper([&] { stop_.request_stop(); });
  EXPECT_EQ(name_of((*client)->receive(room, 3'600'000).error().code), name_of(ErrorCode::kClosed));
}

TEST_F(DeviceTlsTest, TalksToNobodyElse) {
  pki_.issue("other", {"IP:127.0.0.2", "DNS:other.test"});
  const DevicePki stranger;
  TlsDevice device(pki_, echo);
  TlsDevice other(pki_, echo, "other");
  TlsDevice foreign(stranger, echo);
  TlsSettings settings = pki_.settings(device.port());
  settings.server_name = "device.test";
  EXPECT_TRUE(connect(settings)) << "a configured name";
  settings.port = other.port();
  EXPECT_NE(refusal(settings, ErrorCode::kUnauthorised).find("ostname mismatch"), std::string::npos);
  EXPECT_NE(refusal(pki_.settings(other.port()), ErrorCode::kUnauthorised).find("IP address mismatch"),
            std::string::npos);
  EXPECT_NE(refusal(pki_.settings(foreign.port()), ErrorCode::kUnauthorised).find("certificate is refused"),
            std::string::npos);
}

TEST_F(DeviceTlsTest, SpeaksTls12OnlyWhenToldSo) {
  TlsDevice old(pki_, echo, "device", TLS1_2_VERSION);
  TlsSettings settings = pki_.settings(old.port());
  EXPECT_NE(refusal(settings, ErrorCode::kUnauthorised), "connected");
  settings.minimum = certs::TlsMinimum::k1_2;
  EXPECT_TRUE(connect(settings));
}

TEST_F(DeviceTlsTest, RefusesAKeyThatOthersMayRead) {
  TlsDevice device(pki_, echo);
  const TlsSettings settings = pki_.settings(device.port());
  ASSERT_EQ(::chmod(settings.key.c_str(), 0640), 0);
  EXPECT_NE(refusal(settings, ErrorCode::kInvalid).find("0640"), std::string::npos);
}

TEST_F(DeviceTlsTest, SaysThatNobodyIsThere) {
  std::uint16_t port = 0;
  {
    TlsDevice gone(pki_, echo);
    port = gone.port();
  }
  EXPECT_NE(refusal(pki_.settings(port), ErrorCode::kPeerUnreachable).find("refused"), std::string::npos);
  TlsSettings nowhere = pki_.settings(port);
  nowhere.host = "no such host";
  refusal(nowhere, ErrorCode::kPeerUnreachable);
}

}  // namespace
}  // namespace qkms::drivers
