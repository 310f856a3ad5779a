// Threats T04, T06, T09, T11, T13, T15 and T37, each named where it is tried.
#include "certs/tls_context.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "certs/identity.h"
#include "certs/pem_file.h"
#include "certs/test_listener.h"

namespace qkms::certs {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

using TlsContext = ListenerTest;

struct ClientCase {
  const char* name;
  int expected;  // the server's verify result; -1: refused before or after verification
  std::function<void(CertificateSpec&)> change;
};

TEST_F(TlsContext, TakesAClientOnlyWithAGoodLeafOfItsCa) {
  const auto with_extension = [](int nid, const char* value) {
    return [nid, value](CertificateSpec& spec) {
      std::erase_if(spec.extensions, [nid](const auto& extension) { return extension.first == nid; });
      if (*value != '\0') spec.extensions.emplace_back(nid, value);
    };
  };
  const ClientCase cases[] = {
      {"good", X509_V_OK, [](CertificateSpec&) {}},
      {"good with Ed25519", X509_V_OK, [](CertificateSpec& spec) { spec.key = "ED25519"; }},
      {"good with P-521", X509_V_OK, [](CertificateSpec& spec) { spec.key = "P-521"; }},
      {"good with P-384", X509_V_OK, [](CertificateSpec& spec) { spec.key = "P-384"; }},
      {"good with RSA-2048", X509_V_OK, [](CertificateSpec& spec) { spec.key = "RSA-2048"; }},
      {"T04 expired", X509_V_ERR_CERT_HAS_EXPIRED,
       [](CertificateSpec& spec) { spec.from_days = -3, spec.to_days = -1; }},
      {"T04 not yet valid", X509_V_ERR_CERT_NOT_YET_VALID,
       [](CertificateSpec& spec) { spec.from_days = 1, spec.to_days = 3; }},
      {"T11 RSA-1024", X509_V_ERR_EE_KEY_TOO_SMALL, [](CertificateSpec& spec) { spec.key = "RSA-1024"; }},
      {"T11 SHA-1", X509_V_ERR_CA_MD_TOO_WEAK, [](CertificateSpec& spec) { spec.digest = "SHA1"; }},
      {"T06 for servers only", X509_V_ERR_INVALID_PURPOSE, with_extension(NID_ext_key_usage, "serverAuth")},
      {"T06 for anything", X509_V_ERR_INVALID_PURPOSE, with_extension(NID_ext_key_usage, "anyExtendedKeyUsage")},
      {"T06 without extended key usage", X509_V_ERR_INVALID_PURPOSE, with_extension(NID_ext_key_usage, "")},
      {"T06 for mail", X509_V_ERR_INVALID_PURPOSE, with_extension(NID_ext_key_usage, "emailProtection")},
      {"T06 for both sides, as a peer's", X509_V_OK, with_extension(NID_ext_key_usage, "serverAuth,clientAuth")},
      {"T06 a CA", X509_V_ERR_INVALID_CA, with_extension(NID_basic_constraints, "critical,CA:TRUE")},
      {"T06 key usage without signature", X509_V_ERR_INVALID_PURPOSE,
       with_extension(NID_key_usage, "critical,keyAgreement")},
      {"T06 without key usage", X509_V_OK, with_extension(NID_key_usage, "")},
      {"T13 subject of 10 KB: has no name that fits (identity_test.cc)", X509_V_OK,
       [](CertificateSpec& spec) { spec.subject.push_back({NID_organizationName, std::string(10'000, 'x')}); }},
      {"T13 policies: they are not looked at (RFC 9618)", X509_V_OK,
       [](CertificateSpec& spec) { spec.extensions.emplace_back(NID_certificate_policies, "1.2.3.4,1.2.3.5"); }},
      {"T06 unknown critical extension", X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION,
       [](CertificateSpec& spec) { spec.extensions.emplace_back(NID_netscape_comment, "critical,x"); }},
  };
  const auto server = listener();
  for (const auto& c : cases) {
    CertificateSpec spec;
    c.change(spec);
    const Credential leaf = make_certificate(spec, &ca_);
    const auto client = make_careless_client({&leaf, {}});
    const auto handshake = shake_hands(server.get(), client.get());
    EXPECT_EQ(handshake.done, c.expected == X509_V_OK) << c.name;
    EXPECT_EQ(handshake.verify_result, c.expected)
        << c.name << ": " << X509_verify_cert_error_string(handshake.verify_result);
    const auto shown = verified_leaf(handshake.server.get());
    ASSERT_EQ(shown.has_value(), c.expected == X509_V_OK) << c.name;
    if (!shown) continue;
    EXPECT_EQ(X509_cmp(shown->get(), leaf.certificate.get()), 0) << c.name;
  }
}

TEST_F(TlsContext, RefusesAClientWithoutACertificate) {  // T04
  const auto server = listener();
  const auto client = make_careless_client({});
  EXPECT_FALSE(shake_hands(server.get(), client.get()).done);
}

TEST_F(TlsContext, RefusesOtherIssuers) {  // T04: also one of the same name
  const auto server = listener();
  const Credential same_name = make_certificate(ca_spec("clients")), other = make_certificate(ca_spec("others"));
  const Credential self_signed = make_certificate({}), forged = make_certificate({}, &same_name),
                   foreign = make_certificate({}, &other);
  for (const auto* leaf : {&self_signed, &forged, &foreign}) {
    const auto client = make_careless_client({leaf, {&same_name, &other}});
    const auto handshake = shake_hands(server.get(), client.get());
    EXPECT_FALSE(handshake.done);
    EXPECT_NE(handshake.verify_result, X509_V_OK);
  }
}

// An ordinary leaf cannot issue, however the chain is dressed up.
TEST_F(TlsContext, RefusesALeafThatIssues) {  // T06
  const auto server = listener();
  CertificateSpec issuing;
  issuing.subject = {{NID_commonName, "not a CA"}};
  const Credential middle = make_certificate(issuing, &ca_);
  const Credential leaf = make_certificate({}, &middle);
  const auto client = make_careless_client({&leaf, {&middle}});
  EXPECT_FALSE(shake_hands(server.get(), client.get()).done);
}

TEST_F(TlsContext, RefusesChainsThatBreakTheirCasConstraints) {
  struct ChainCase {
    const char* name;
    std::vector<std::pair<int, std::string>> extensions;  // of the first intermediate
    int intermediates;
    bool taken;
  };
  const ChainCase cases[] = {
      {"one intermediate", kCaExtensions, 1, true},
      {"as many as allowed", kCaExtensions, kMaxChainDepth, true},
      {"T13 one more", kCaExtensions, kMaxChainDepth + 1, false},
      {"T13 eleven", kCaExtensions, 11, false},
      {"T06 path length", ca_extensions_and(NID_basic_constraints, "critical,CA:TRUE,pathlen:0"), 2, false},
      {"T06 name constraints", ca_extensions_and(NID_name_constraints, "critical,permitted;URI:.example"), 1, false},
      {"name constraints kept", ca_extensions_and(NID_name_constraints, "critical,permitted;URI:.urn.test"), 1, true},
      {"T06 CA that may not sign", ca_extensions_and(NID_key_usage, "critical,digitalSignature"), 1, false},
  };
  const auto server = listener();
  for (const auto& c : cases) {
    std::vector<Credential> chain;
    chain.reserve(static_cast<std::size_t>(c.intermediates));
    for (int i = 0; i < c.intermediates; ++i) {
      auto spec = ca_spec("intermediate " + std::to_string(i));
      if (i == 0) spec.extensions = c.extensions;
      chain.push_back(make_certificate(spec, i == 0 ? &ca_ : &chain.back()));
    }
    CertificateSpec leaf_spec;
    leaf_spec.alternative_names = {{GEN_URI, "https://a.urn.test/x"}};
    const Credential leaf = make_certificate(leaf_spec, &chain.back());
    ClientIdentity identity{&leaf, {}};
    for (auto link = chain.rbegin(); link != chain.rend(); ++link) identity.chain.push_back(&*link);
    const auto client = make_careless_client(identity);
    EXPECT_EQ(shake_hands(server.get(), client.get()).done, c.taken) << c.name;
  }
}

// The listener's chain may lead over an intermediate with a weak key or signature, which is as bad as a weak leaf.
TEST_F(TlsContext, RefusesWeakIntermediates) {  // T11
  struct WeakCase {
    const char* name;
    const char *key, *digest;
    long expected;
  };
  const WeakCase cases[] = {
      {"P-256", "P-256", "SHA256", X509_V_OK},
      {"Ed25519", "ED25519", "SHA256", X509_V_OK},
      {"RSA-2048", "RSA-2048", "SHA256", X509_V_OK},
      {"T11 RSA-1024", "RSA-1024", "SHA256", X509_V_ERR_CA_KEY_TOO_SMALL},
      {"T11 signed with SHA-1", "P-256", "SHA1", X509_V_ERR_CA_MD_TOO_WEAK},
  };
  const auto server = listener();
  for (const auto& c : cases) {
    auto spec = ca_spec("middle");
    spec.key = c.key;
    spec.digest = c.digest;
    const Credential middle = make_certificate(spec, &ca_);
    const Credential leaf = make_certificate({}, &middle);
    const auto handshake = shake_hands(server.get(), make_careless_client({&leaf, {&middle}}).get());
    EXPECT_EQ(handshake.verify_result, c.expected)
        << c.name << ": " << X509_verify_cert_error_string(handshake.verify_result);
    EXPECT_EQ(handshake.done, c.expected == X509_V_OK) << c.name;
  }
}

TEST_F(TlsContext, FindsTheEndOfALoop) {  // T13
  const auto x_spec = ca_spec("x"), y_spec = ca_spec("y");
  const Credential x = make_certificate(x_spec), y = make_certificate(y_spec);
  const Credential x_by_y = certify(x, x_spec, y), y_by_x = certify(y, y_spec, x);
  const Credential root_by_x = certify(ca_, ca_spec("clients"), x), x_by_root = certify(x, x_spec, ca_);
  const Credential leaf = make_certificate({}, &x);
  const auto server = listener();
  EXPECT_FALSE(shake_hands(server.get(), make_careless_client({&leaf, {&x_by_y, &y_by_x}}).get()).done)
      << "a loop that we do not know";
  EXPECT_TRUE(shake_hands(server.get(), make_careless_client({&leaf, {&x_by_root, &root_by_x}}).get()).done)
      << "a loop through our CA ends there";
  EXPECT_TRUE(shake_hands(server.get(), make_careless_client({&leaf, {&x_by_y, &y_by_x, &x_by_root}}).get()).done)
      << "a way out of the loop";
}

// Each CA maps each of two policies to both: a tree of policies would double at every step (CVE-2023-0464). We have no
// use for policies, so no tree is made.
TEST_F(TlsContext, GrowsNoPolicyTree) {  // T13, RFC 9618
  auto spec = ca_spec("");
  spec.extensions.emplace_back(NID_certificate_policies, "1.2.3.1,1.2.3.2");
  spec.extensions.emplace_back(NID_policy_mappings, "1.2.3.1:1.2.3.1,1.2.3.1:1.2.3.2,1.2.3.2:1.2.3.1,1.2.3.2:1.2.3.2");
  spec.extensions.emplace_back(NID_policy_constraints, "critical,requireExplicitPolicy:0");
  std::vector<Credential> chain;
  chain.reserve(kMaxChainDepth);
  for (int i = 0; i < kMaxChainDepth; ++i) {
    spec.subject = {{NID_commonName, "mapper " + std::to_string(i)}};
    chain.push_back(make_certificate(spec, i == 0 ? &ca_ : &chain.back()));
  }
  const Credential leaf = make_certificate({}, &chain.back());
  ClientIdentity identity{&leaf, {}};
  for (auto link = chain.rbegin(); link != chain.rend(); ++link) identity.chain.push_back(&*link);
  EXPECT_TRUE(shake_hands(listener().get(), make_careless_client(identity).get()).done);
}

TEST_F(TlsContext, RefusesACertificateWithoutItsKey) {  // T04: a stolen certificate
  const Credential stolen = make_certificate({}, &ca_), thief = make_certificate({}, nullptr);
  const auto client = make_careless_client({});
  // OpenSSL would not use a certificate with another one's key, so it gets to see the right key for a moment.
  X509* shown = stolen.certificate.get();
  ASSERT_EQ(X509_set_pubkey(shown, thief.key.get()), 1);
  ASSERT_EQ(SSL_CTX_use_certificate(client.get(), shown), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey(client.get(), thief.key.get()), 1);
  ASSERT_EQ(X509_set_pubkey(shown, stolen.key.get()), 1);
  const auto handshake = shake_hands(listener().get(), client.get());
  EXPECT_FALSE(handshake.done);
  EXPECT_EQ(handshake.verify_result, X509_V_OK) << "the certificate is good, the signature of the handshake is not";
}

TEST_F(TlsContext, RefusesMoreCertificatesThanItWillRead) {  // T13
  const auto server = listener();
  CertificateSpec big;
  big.alternative_names.assign(2000, {GEN_DNS, "a-rather-long-name.example"});
  const Credential leaf = make_certificate(big, &ca_);
  const auto client = make_careless_client({&leaf, {}});
  EXPECT_FALSE(shake_hands(server.get(), client.get()).done);
}

TEST_F(TlsContext, SpeaksOnlyTheVersionsAndSuitesItShould) {  // T11
  struct VersionCase {
    const char* name;
    TlsMinimum minimum;
    int client_max;
    const char* suites;
    bool taken;
  };
  const VersionCase cases[] = {
      {"1.3", TlsMinimum::k1_3, TLS1_3_VERSION, "DEFAULT", true},
      {"1.2 when it is enough", TlsMinimum::k1_2, TLS1_2_VERSION, "DEFAULT", true},
      {"1.2 when it is not", TlsMinimum::k1_3, TLS1_2_VERSION, "DEFAULT", false},
      {"1.1", TlsMinimum::k1_2, TLS1_1_VERSION, "ALL:@SECLEVEL=0", false},
      {"1.2 with CBC", TlsMinimum::k1_2, TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA", false},
      {"1.2 without forward secrecy", TlsMinimum::k1_2, TLS1_2_VERSION, "AES256-GCM-SHA384", false},
      {"1.2 without authentication", TlsMinimum::k1_2, TLS1_2_VERSION, "aNULL:@SECLEVEL=0", false},
      {"1.2 with ChaCha20", TlsMinimum::k1_2, TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", true},
  };
  const Credential leaf = make_certificate({}, &ca_);
  for (const auto& c : cases) {
    const auto server = listener(c.minimum);
    const auto client = make_careless_client({&leaf, {}});
    SSL_CTX_set_min_proto_version(client.get(), 0);
    SSL_CTX_set_max_proto_version(client.get(), c.client_max);
    ASSERT_EQ(SSL_CTX_set_cipher_list(client.get(), c.suites), 1) << c.name;
    EXPECT_EQ(shake_hands(server.get(), client.get()).done, c.taken) << c.name;
  }
}

TEST_F(TlsContext, AgreesOnHttp1OrNothing) {  // T15
  const Credential leaf = make_certificate({}, &ca_);
  const auto server = listener();
  const auto offer = [&](const std::string& protocols) {
    const auto client = make_careless_client({&leaf, {}});
    SSL_CTX_set_alpn_protos(client.get(), reinterpret_cast<const unsigned char*>(protocols.data()),
                            static_cast<unsigned>(protocols.size()));
    const auto handshake = shake_hands(server.get(), client.get());
    const unsigned char* selected = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(handshake.client.get(), &selected, &size);
    if (!handshake.done) return std::string("refused");
    return size == 0 ? std::string() : std::string(reinterpret_cast<const char*>(selected), size);
  };
  EXPECT_EQ(offer("\x02h2\x08http/1.1"), "http/1.1");
  EXPECT_EQ(offer("\x08http/1.0\x08http/1.1"), "http/1.1");
  EXPECT_EQ(offer("\x08http/1.0"), "http/1.0");
  EXPECT_EQ(offer("\x02h2"), "refused");
  EXPECT_EQ(offer(""), "");
}

TEST_F(TlsContext, NeverResumesASession) {  // T09
  const Credential leaf = make_certificate({}, &ca_);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto server = listener();
    const auto client = make_careless_client({&leaf, {}});
    SSL_CTX_set_max_proto_version(client.get(), version);
    const auto first = shake_hands(server.get(), client.get());
    ASSERT_TRUE(first.done);
    const int written = SSL_write(first.server.get(), "x", 1);
    std::array<char, 1> byte;
    EXPECT_EQ(written, SSL_read(first.client.get(), byte.data(), 1)) << "also reads tickets, if there were any";
    SSL_SESSION* session = SSL_get1_session(first.client.get());
    EXPECT_EQ(SSL_SESSION_has_ticket(session), 0) << version;
    const auto second = shake_hands(server.get(), client.get(), session);
    SSL_SESSION_free(session);
    EXPECT_TRUE(second.done) << version;
    EXPECT_EQ(SSL_session_reused(second.server.get()), 0) << version;
  }
}

TEST_F(TlsContext, ClientVerifiesTheServer) {  // T04
  const auto client = make_client_context(files(), TlsMinimum::k1_3);
  ASSERT_TRUE(client) << client.error().text;
  EXPECT_TRUE(shake_hands(listener().get(), client->get()).done);

  server_spec_.extensions.back().second = "clientAuth";
  ASSERT_TRUE(write_credential(make_certificate(server_spec_, &ca_), folder_, "client-only"));
  const auto not_a_server = make_server_context(files("client-only"), TlsMinimum::k1_2);
  ASSERT_TRUE(not_a_server);
  EXPECT_FALSE(shake_hands(not_a_server->get(), client->get()).done);

  const Credential other = make_certificate(ca_spec("clients"));
  server_spec_.extensions.back().second = "serverAuth";
  ASSERT_TRUE(write_credential(make_certificate(server_spec_, &other), folder_, "foreign"));
  const auto foreign = make_server_context(files("foreign"), TlsMinimum::k1_2);
  ASSERT_TRUE(foreign);
  EXPECT_FALSE(shake_hands(foreign->get(), client->get()).done);
}

TEST_F(TlsContext, SaysWhichOfItsFilesIsBad) {  // T36, T37
  const auto with_key = [this](const fs::path& key) { return refusal({files().certificate, key, files().ca}); };
  const auto with_certificate = [this](const fs::path& file) { return refusal({file, files().key, files().ca}); };
  const auto with_ca = [this](const fs::path& file) { return refusal({files().certificate, files().key, file}); };

  EXPECT_THAT(with_key(folder_ / "none"), HasSubstr("none: cannot be opened: No such file"));
  EXPECT_THAT(with_key(write("open.key", "x", 0640)), HasSubstr("open.key: has mode 0640"));
  EXPECT_THAT(with_key(write("empty.key", "")), HasSubstr("empty.key: empty"));
  EXPECT_THAT(with_key(write("text.key", "hello")), HasSubstr("text.key: has no usable private key"));
  EXPECT_THAT(with_key(folder_), HasSubstr("not a regular file"));
  fs::create_symlink(files().key, folder_ / "link.key");
  EXPECT_THAT(with_key(folder_ / "link.key"), HasSubstr("link.key: a symbolic link"));
  ASSERT_EQ(mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(with_key(folder_ / "fifo"), HasSubstr("fifo: not a regular file"));
  const auto sparse = write("sparse.key", "x");
  fs::resize_file(sparse, std::uintmax_t{1} << 30);
  EXPECT_THAT(with_key(sparse), HasSubstr("sparse.key: larger than"));
  EXPECT_THAT(with_key(folder_ / "ca.key"), HasSubstr("ca.key: not the key of"));

  EXPECT_THAT(with_certificate(write("text.crt", "hello")), HasSubstr("text.crt: has no certificate"));
  EXPECT_THAT(with_certificate(write("cut.crt", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")),
              HasSubstr("cut.crt: has a damaged certificate"));
  EXPECT_THAT(with_ca(files().certificate), HasSubstr("server.crt: has a certificate that is no CA's"));
  EXPECT_THAT(with_ca(write("empty.crt", "")), HasSubstr("empty.crt: empty"));
}

TEST_F(TlsContext, RefusesOwnCertificatesOutOfTheirTime) {
  server_spec_.from_days = -3, server_spec_.to_days = -1;
  ASSERT_TRUE(write_credential(make_certificate(server_spec_, &ca_), folder_, "old"));
  EXPECT_THAT(refusal(files("old")), HasSubstr("old.crt: expired on "));
  server_spec_.from_days = 1, server_spec_.to_days = 3;
  ASSERT_TRUE(write_credential(make_certificate(server_spec_, &ca_), folder_, "early"));
  EXPECT_THAT(refusal(files("early")), HasSubstr("early.crt: not valid before "));
}

TEST_F(TlsContext, DoesNotAskForAPassphrase) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  ASSERT_EQ(
      PEM_write_bio_PKCS8PrivateKey(out.get(), server_.key.get(), EVP_aes_256_cbc(), "secret", 6, nullptr, nullptr), 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  const auto key = write("locked.key", std::string(text, static_cast<std::size_t>(size)));
  EXPECT_THAT(refusal({files().certificate, key, files().ca}), HasSubstr("locked.key: has no usable private key"));
}

}  // namespace
}  // namespace qkms::certs
