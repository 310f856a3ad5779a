// Threat T10: a certificate that was good when its connection was made.
#include "certs/verify_again.h"

#include <gmock/gmock.h>

#include "certs/test_listener.h"

namespace qkms::certs {
namespace {

using testing::HasSubstr;
using VerifyAgain = ListenerTest;

std::string verdict(SSL_CTX* now, const SslPtr& connection) {
  const auto verified = verify_again(now, connection.get());
  if (verified) return "good";
  EXPECT_EQ(verified.error().code, ErrorCode::kUnauthorised);
  return verified.error().text;
}

TEST_F(VerifyAgain, JudgesAnOpenConnectionByTheNewFiles) {  // T10
  const Credential middle = make_certificate(ca_spec("middle"), &ca_);
  const Credential leaf = make_certificate({.serial = 21}, &middle);
  const auto before = listener();
  const auto open = shake_hands(before.get(), make_careless_client({&leaf, {&middle}}).get());
  ASSERT_TRUE(open.done);
  EXPECT_EQ(verdict(before.get(), open.server), "good");
  EXPECT_EQ(verdict(listener().get(), open.server), "good") << "the same files";

  EXPECT_THAT(verdict(listener_with(make_crl({}, ca_)).get(), open.server), HasSubstr("unable to get certificate CRL"))
      << "no list of the intermediate";
  ASSERT_TRUE(write_credential(middle, folder_, "middle"));
  auto with = files();
  with.ca = folder_ / "both.crt";
  std::ofstream(with.ca) << std::ifstream(files().ca).rdbuf() << std::ifstream(folder_ / "middle.crt").rdbuf();
  const struct {
    const char* name;
    CrlSpec of_root, of_middle;
    const char* expected;
  } lists[] = {
      {"none is revoked", {}, {}, "good"},
      {"the leaf is revoked", {}, {.revoked = {&leaf}}, "certificate revoked"},
      {"the intermediate is revoked", {.revoked = {&middle}}, {}, "certificate revoked"},
  };
  for (const auto& c : lists) {
    with.crl = write("both.pem", make_crl(c.of_root, ca_) + make_crl(c.of_middle, middle));
    const auto now = make_server_context(with, TlsMinimum::k1_2);
    ASSERT_TRUE(now) << c.name << ": " << now.error().text;
    EXPECT_THAT(verdict(now->get(), open.server), HasSubstr(c.expected)) << c.name;
  }

  const Credential other = make_certificate(ca_spec("clients"));
  ASSERT_TRUE(write_credential(other, folder_, "other"));
  with = files();
  with.ca = folder_ / "other.crt";
  const auto other_ca = make_server_context(with, TlsMinimum::k1_2);
  ASSERT_TRUE(other_ca) << other_ca.error().text;
  EXPECT_NE(verdict(other_ca->get(), open.server), "good") << "the old CA was taken out";
}

TEST_F(VerifyAgain, SeesThatACertificateHasExpired) {  // T10
  CertificateSpec spec;
  spec.to_days = 0;
  spec.to_seconds = 3;
  const Credential leaf = make_certificate(spec, &ca_);
  const auto context = listener();
  const auto open = shake_hands(context.get(), make_careless_client({&leaf, {}}).get());
  ASSERT_TRUE(open.done);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  std::string now = "good";
  while (now == "good" && std::chrono::steady_clock::now() < deadline) now = verdict(context.get(), open.server);
  EXPECT_THAT(now, HasSubstr("expired"));
}

// A careless listener lets in what ours would not: the rules for a leaf are looked at again, not taken for granted.
TEST_F(VerifyAgain, HasTheRulesOfAHandshake) {  // T06, T10
  struct Case {
    const char* name;
    int nid;
    const char* extension;
    const char* expected;
  };
  const Case cases[] = {
      {"a client's", NID_ext_key_usage, "clientAuth", "good"},
      {"for servers only", NID_ext_key_usage, "serverAuth", "purpose"},
      {"a CA", NID_basic_constraints, "critical,CA:TRUE", "invalid CA"},
      {"may not sign", NID_key_usage, "critical,keyEncipherment", "purpose"},
  };
  const SslContextPtr careless(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_use_certificate(careless.get(), server_.certificate.get());
  SSL_CTX_use_PrivateKey(careless.get(), server_.key.get());
  SSL_CTX_set_verify(careless.get(), SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
  const auto strict = listener();
  const Credential weak = make_certificate({.digest = "SHA1"}, &ca_);
  const auto open_weak = shake_hands(careless.get(), make_careless_client({&weak, {}}).get());
  ASSERT_TRUE(open_weak.done);
  EXPECT_THAT(verdict(strict.get(), open_weak.server), HasSubstr("too weak")) << "T11";
  std::vector<Credential> chain;
  ClientIdentity identity;
  chain.reserve(kMaxChainDepth + 2);
  for (int i = 0; i <= kMaxChainDepth; ++i)
    chain.push_back(make_certificate(ca_spec("CA " + std::to_string(i)), i == 0 ? &ca_ : &chain.back()));
  for (auto link = chain.rbegin(); link != chain.rend(); ++link) identity.chain.push_back(&*link);
  const Credential last = make_certificate({}, &chain.back());
  identity.leaf = &last;
  const auto open_long = shake_hands(careless.get(), make_careless_client(identity).get());
  ASSERT_TRUE(open_long.done);
  EXPECT_THAT(verdict(strict.get(), open_long.server), HasSubstr("certificate chain too long")) << "T13";
  for (const auto& c : cases) {
    CertificateSpec spec;
    std::erase_if(spec.extensions, [&c](const auto& extension) { return extension.first == c.nid; });
    spec.extensions.emplace_back(c.nid, c.extension);
    const Credential leaf = make_certificate(spec, &ca_);
    const auto open = shake_hands(careless.get(), make_careless_client({&leaf, {}}).get());
    ASSERT_TRUE(open.done) << c.name;
    EXPECT_THAT(verdict(strict.get(), open.server), HasSubstr(c.expected)) << c.name;
  }
}

TEST_F(VerifyAgain, WorksForWhomWeConnectedTo) {  // T04, T10
  const auto client = make_client_context(files(), TlsMinimum::k1_3);
  ASSERT_TRUE(client);
  const auto open = shake_hands(listener().get(), client->get());
  ASSERT_TRUE(open.done);
  EXPECT_EQ(verdict(client->get(), open.client), "good");
  auto with = files();
  with.crl = write("crl.pem", make_crl({.revoked = {&server_}}, ca_));
  const auto warned = make_client_context(with, TlsMinimum::k1_3);
  ASSERT_TRUE(warned) << warned.error().text;
  EXPECT_THAT(verdict(warned->get(), open.client), HasSubstr("revoked"));
}

TEST_F(VerifyAgain, ThereIsNothingGoodAboutNoCertificate) {
  const auto context = listener();
  const SslPtr fresh(SSL_new(context.get()));
  EXPECT_THAT(verdict(context.get(), fresh), HasSubstr("none was shown"));
}

TEST_F(VerifyAgain, ContextsSayWhenTheyEnd) {
  const auto near = [](std::int64_t unix_s, int days) {
    return std::abs(unix_s - (time(nullptr) + std::int64_t{days} * 86'400)) < 300;
  };
  auto middle_spec = ca_spec("middle");
  middle_spec.to_days = 3;
  const Credential middle = make_certificate(middle_spec, &ca_);
  server_spec_.to_days = 9;
  ASSERT_TRUE(write_credential(make_certificate(server_spec_, &middle), folder_, "long"));
  ASSERT_TRUE(write_credential(middle, folder_, "middle"));
  const auto without = make_server_context(files("long"), TlsMinimum::k1_2);
  ASSERT_TRUE(without) << without.error().text;
  EXPECT_TRUE(near(expiries_of(without->get()).certificate_unix_s, 9));
  EXPECT_TRUE(near(expiries_of(without->get()).ca_unix_s, 1));
  EXPECT_EQ(expiries_of(without->get()).crl_unix_s, std::nullopt);

  std::ofstream(folder_ / "long.crt", std::ios::app) << std::ifstream(folder_ / "middle.crt").rdbuf();
  auto with = files("long");
  with.crl = write("crl.pem", make_crl({.to_seconds = 5 * 86'400}, ca_) + make_crl({.to_seconds = 2 * 86'400}, ca_) +
                                  make_crl({.to_seconds = 4 * 86'400}, ca_));
  const auto all = make_client_context(with, TlsMinimum::k1_2);
  ASSERT_TRUE(all) << all.error().text;
  EXPECT_TRUE(near(expiries_of(all->get()).certificate_unix_s, 3)) << "the intermediate ends first";
  EXPECT_TRUE(near(expiries_of(all->get()).crl_unix_s.value_or(0), 2));
}

}  // namespace
}  // namespace qkms::certs
