#include "server/peer/transport.h"

#include <gtest/gtest.h>

#include <mutex>

#include "api/peer/codec.h"
#include "certs/tls_context.h"
#include "server/testing/site.h"
#include "server/testing/tls_client.h"

namespace qkms::server::peer {
namespace {

using testing::eventually;
using testing::TlsClient;

KmeId kme(const std::string& text) { return KmeId::parse(text).value(); }

// A transport with the ears of an engine.
class Endpoint {
 public:
  Endpoint(const testing::Pki& pki, const std::string& self, std::vector<PeerConfig> peers, std::uint16_t port = 0) {
    const std::string base = "kme/" + self + "/peer";
    const certs::TlsFiles files{pki.file(base + ".crt"), pki.file(base + ".key"), pki.file("peer-ca.crt")};
    auto server_tls = certs::make_server_context(files, TlsMinimum::k1_3).value();
    auto client_tls = certs::make_client_context(files, TlsMinimum::k1_3).value();
    TransportSettings settings;
    settings.self = kme(self);
    settings.address = "127.0.0.1";
    settings.port = port;
    settings.server_tls = std::move(server_tls);
    settings.client_tls = std::move(client_tls);
    settings.peers = std::move(peers);
    settings.handshake_ms = 1000;
    settings.push = [this](kms::Event event) { return take(std::move(event)); };
    transport = Transport::open(std::move(settings)).value();
    transport->start();
  }
  ~Endpoint() { transport->stop(); }

  // What happened so far: "up 1", "frame 1", "down 1".
  std::vector<std::string> heard() const {
    const std::lock_guard lock(mutex_);
    return heard_;
  }
  bool hears(const std::vector<std::string>& expected) const {
    return eventually([&] { return heard() == expected; });
  }
  void refuse_frames() {
    const std::lock_guard lock(mutex_);
    full_ = true;
  }

  std::unique_ptr<Transport> transport;

 private:
  Result<void> take(kms::Event event) {
    const std::lock_guard lock(mutex_);
    if (auto* up = std::get_if<kms::PeerUp>(&event)) heard_.push_back("up " + std::to_string(up->session));
    if (auto* down = std::get_if<kms::PeerDown>(&event)) heard_.push_back("down " + std::to_string(down->session));
    if (auto* frame = std::get_if<kms::PeerFrame>(&event)) {
      if (full_) return fail(ErrorCode::kOverloaded, "full");
      heard_.push_back("frame " + std::to_string(frame->session));
    }
    return {};
  }

  mutable std::mutex mutex_;
  std::vector<std::string> heard_;
  bool full_ = false;
};

class TransportTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { pki_ = std::make_unique<testing::Pki>(); }
  static void TearDownTestSuite() { pki_.reset(); }

  static PeerConfig at(const std::string& id, std::uint16_t port) {
    return {kme(id), "127.0.0.1:" + std::to_string(port)};
  }

  // A peer of whom only the bytes are ours.
  static std::unique_ptr<TlsClient> raw_peer(const Endpoint& to, const std::string& name) {
    const std::string base = "kme/" + name + "/peer";
    auto client = std::make_unique<TlsClient>(
        to.transport->port(),
        TlsClient::Files{pki_->file(base + ".crt"), pki_->file(base + ".key"), pki_->file("peer-ca.crt")});
    client->send(
        "GET /qkms/peer HTTP/1.1\r\nHost: qkms\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n");
    return client;
  }
  // RFC 6455 §5.2: one final binary frame, masked with zeroes, at most 125 bytes.
  static std::string websocket_frame(const std::string& payload) {
    std::string frame = "\x82";
    frame += static_cast<char>(0x80 | payload.size());
    frame.append(4, '\0');
    return frame + payload;
  }

  static std::unique_ptr<testing::Pki> pki_;
};

std::unique_ptr<testing::Pki> TransportTest::pki_;

TEST_F(TransportTest, CarriesFramesBothWaysInOrder) {
  Endpoint b(*pki_, "KME-B", {{kme("KME-A"), {}}});
  Endpoint a(*pki_, "KME-A", {at("KME-B", b.transport->port())});
  ASSERT_TRUE(a.hears({"up 1"}) && b.hears({"up 1"}));
  for (int i = 0; i < 3; ++i) a.transport->send({kme("KME-B"), 1, {0, api::Heartbeat{}}});
  b.transport->send({kme("KME-A"), 1, {0, api::Heartbeat{}}});
  b.transport->send({kme("KME-A"), 7, {0, api::Heartbeat{}}});  // of a session that is not: dropped
  EXPECT_TRUE(b.hears({"up 1", "frame 1", "frame 1", "frame 1"}));
  EXPECT_TRUE(a.hears({"up 1", "frame 1"}));
  EXPECT_EQ(a.transport->stats().frames_sent, 3u);
}

TEST_F(TransportTest, ConnectsAgainAfterASessionEnds) {
  Endpoint b(*pki_, "KME-B", {{kme("KME-A"), {}}});
  Endpoint a(*pki_, "KME-A", {at("KME-B", b.transport->port())});
  ASSERT_TRUE(a.hears({"up 1"}) && b.hears({"up 1"}));
  a.transport->close({kme("KME-B"), 1, "test"});
  EXPECT_TRUE(a.hears({"up 1", "down 1", "up 2"}));
  EXPECT_TRUE(b.hears({"up 1", "down 1", "up 2"}));
  b.transport->close_all();
  EXPECT_TRUE(b.hears({"up 1", "down 1", "up 2", "down 2", "up 3"}));
}

TEST_F(TransportTest, HasNoSessionWhileEitherEndIsPaused) {
  Endpoint b(*pki_, "KME-B", {{kme("KME-A"), {}}});
  Endpoint a(*pki_, "KME-A", {at("KME-B", b.transport->port())});
  ASSERT_TRUE(a.hears({"up 1"}) && b.hears({"up 1"}));
  b.transport->pause();
  EXPECT_TRUE(b.hears({"up 1", "down 1"}) && a.hears({"up 1", "down 1"}));
  EXPECT_TRUE(eventually([&] { return b.transport->stats().refused >= 3; })) << "it is hung up on";
  EXPECT_GE(a.transport->stats().failed_attempts, 2u) << "and comes later each time (backoff.h)";
  b.transport->resume();
  EXPECT_TRUE(a.hears({"up 1", "down 1", "up 2"}) && b.hears({"up 1", "down 1", "up 2"}));

  a.transport->pause();
  EXPECT_TRUE(a.hears({"up 1", "down 1", "up 2", "down 2"}) && b.hears({"up 1", "down 1", "up 2", "down 2"}));
  const auto failed = a.transport->stats().failed_attempts.load(), refused = b.transport->stats().refused.load();
  a.transport->resume();
  EXPECT_TRUE(a.hears({"up 1", "down 1", "up 2", "down 2", "up 3"}));
  EXPECT_EQ(a.transport->stats().failed_attempts, failed) << "it did not knock at all";
  EXPECT_EQ(b.transport->stats().refused, refused);
}

TEST_F(TransportTest, KeepsTryingUntilThePeerIsThere) {
  std::uint16_t port = 0;
  {
    Endpoint early(*pki_, "KME-B", {{kme("KME-A"), {}}});
    port = early.transport->port();
  }
  Endpoint a(*pki_, "KME-A", {at("KME-B", port)});
  ASSERT_TRUE(eventually([&] { return a.transport->stats().failed_attempts >= 2; }));
  Endpoint b(*pki_, "KME-B", {{kme("KME-A"), {}}}, port);
  EXPECT_TRUE(a.hears({"up 1"}));
}

TEST_F(TransportTest, ReplacesASessionByANewerOneOfTheSamePeer) {
  Endpoint b(*pki_, "KME-B", {{kme("KME-A"), {}}});
  const auto first = raw_peer(b, "KME-A");
  ASSERT_TRUE(b.hears({"up 1"}));
  const auto second = raw_peer(b, "KME-A");
  EXPECT_TRUE(b.hears({"up 1", "down 1", "up 2"}));
  EXPECT_EQ(first->receive().value_or(testing::Answer{}).status, 101);
  EXPECT_TRUE(first->closed());
  second->send(websocket_frame(api::encode({0, api::Heartbeat{}})));
  EXPECT_TRUE(b.hears({"up 1", "down 1", "up 2", "frame 2"}));
}

TEST_F(TransportTest, ClosesASessionWhoseFrameCannotBeDecoded) {
  const struct {
    const char* name;
    std::string bytes;
  } cases[] = {
      {"no frame of ours", websocket_frame("no frame of ours")},
      {"empty", websocket_frame("")},
      {"not masked", std::string("\x82\x01x", 3)},
      {"larger than any frame", std::string("\x82\xff\0\0\0\0\0\x10\0\0\0\0\0\0", 14)},
      {"not WebSocket at all", std::string(64, '\xff')},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.name);
    Endpoint b(*pki_, "KME-B", {{kme("KME-A"), {}}});
    const auto peer = raw_peer(b, "KME-A");
    ASSERT_TRUE(b.hears({"up 1"}));
    peer->send(one.bytes);
    EXPECT_TRUE(b.hears({"up 1", "down 1"}));
  }
}

TEST_F(TransportTest, ClosesASessionThatTheEngineHasNoPlaceFor) {
  Endpoint b(*pki_, "KME-B", {{kme("KME-A"), {}}});
  const auto peer = raw_peer(b, "KME-A");
  ASSERT_TRUE(b.hears({"up 1"}));
  b.refuse_frames();
  peer->send(websocket_frame(api::encode({0, api::Heartbeat{}})));
  EXPECT_TRUE(b.hears({"up 1", "down 1"}));
  EXPECT_EQ(b.transport->stats().overflows, 1u);
}

TEST_F(TransportTest, RefusesEveryoneButTheConfiguredPeers) {
  Endpoint b(*pki_, "KME-B", {{kme("KME-A"), {}}, at("KME-C", 1)});
  const auto higher = raw_peer(b, "KME-C");
  EXPECT_TRUE(higher->closed()) << "the lower ID connects, not the higher one";
  const auto itself = raw_peer(b, "KME-B");
  EXPECT_TRUE(itself->closed());
  TlsClient sae(b.transport->port(),
                {pki_->file("sae/SAE-A.crt"), pki_->file("sae/SAE-A.key"), pki_->file("peer-ca.crt")});
  EXPECT_TRUE(sae.closed()) << "another CA";
  EXPECT_TRUE(eventually([&] { return b.transport->stats().refused == 3; }));
  EXPECT_TRUE(b.heard().empty());
}

TEST_F(TransportTest, RefusesAPeerThatIsNotTheOneItConnectedTo) {
  Endpoint c(*pki_, "KME-C", {{kme("KME-A"), {}}});
  Endpoint a(*pki_, "KME-A", {at("KME-B", c.transport->port())});
  ASSERT_TRUE(eventually([&] { return a.transport->stats().failed_attempts >= 1; }));
  EXPECT_TRUE(a.heard().empty());
}

TEST_F(TransportTest, DoesNotWaitForEverForAHandshake) {
  Endpoint b(*pki_, "KME-B", {{kme("KME-A"), {}}});
  const std::string base = "kme/KME-A/peer";
  TlsClient silent(b.transport->port(),
                   {pki_->file(base + ".crt"), pki_->file(base + ".key"), pki_->file("peer-ca.crt")});
  ASSERT_TRUE(silent.connected());
  EXPECT_TRUE(silent.closed());
  EXPECT_TRUE(b.heard().empty());
}

}  // namespace
}  // namespace qkms::server::peer
