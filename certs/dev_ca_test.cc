#include "certs/dev_ca.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "certs/identity.h"
#include "certs/pem_file.h"
#include "certs/test_certificates.h"
#include "certs/tls_context.h"

namespace qkms::certs {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class DevPkiFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "qkms-pki-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  TlsFiles kme(const std::string& name, const std::string& profile) const {
    return {folder_ / "kme" / name / (profile + ".crt"), folder_ / "kme" / name / (profile + ".key"),
            folder_ / (profile + "-ca.crt")};
  }
  TlsFiles client(const std::string& name, const std::string& profile, const std::string& ca) const {
    return {folder_ / profile / (name + ".crt"), folder_ / profile / (name + ".key"), folder_ / (ca + "-ca.crt")};
  }

  const DevPki pki_{{"KME-A", "KME-B"}, {"SAE-A"}, {"admin"}, {"kme.example", "192.0.2.1"}};
  fs::path folder_;
};

TEST_F(DevPkiFolder, MakesCredentialsThatTheListenersTake) {
  const auto made = make_dev_pki(folder_, pki_);
  ASSERT_TRUE(made) << made.error().text;
  struct Case {
    const char* name;
    TlsFiles server, client;
    std::string caller;  // "": refused
  };
  const Case cases[] = {
      {"SAE", kme("KME-A", "sae"), client("SAE-A", "sae", "sae"), "SAE-A"},
      {"operator", kme("KME-A", "operator"), client("admin", "operator", "operator"), "admin"},
      {"peer", kme("KME-B", "peer"), kme("KME-A", "peer"), "KME-A"},
      {"peer on the SAE listener", kme("KME-A", "sae"), kme("KME-B", "peer"), ""},
      {"SAE on the peer listener", kme("KME-A", "peer"), client("SAE-A", "sae", "peer"), ""},
      {"operator on the peer listener", kme("KME-A", "peer"), client("admin", "operator", "peer"), ""},
      {"SAE on the operator listener", kme("KME-A", "operator"), client("SAE-A", "sae", "operator"), ""},
  };
  for (const auto& c : cases) {
    const auto server = make_server_context(c.server, TlsMinimum::k1_3);
    const auto connecting = make_client_context(c.client, TlsMinimum::k1_3);
    ASSERT_TRUE(server && connecting) << c.name;
    const auto handshake = shake_hands(server->get(), connecting->get());
    EXPECT_EQ(handshake.done, !c.caller.empty()) << c.name;
    if (!handshake.done) continue;
    const auto leaf = verified_leaf(handshake.server.get());
    ASSERT_TRUE(leaf) << c.name;
    EXPECT_EQ(name_in(leaf->get(), NameRule::kUriElseCommonName).value_or(""), c.caller) << c.name;
  }
}

TEST_F(DevPkiFolder, SaysThatItIsForDevelopmentAndSoonOver) {
  ASSERT_TRUE(make_dev_pki(folder_, pki_));
  const auto leaf = load_certificates(folder_ / "sae" / "SAE-A.crt");
  ASSERT_TRUE(leaf);
  std::array<char, 256> issuer;
  X509_NAME_oneline(X509_get_issuer_name(leaf->front().get()), issuer.data(), issuer.size());
  EXPECT_THAT(issuer.data(), HasSubstr("qkms DEVELOPMENT sae CA"));
  time_t later = time(nullptr) + (kDevDays + 1) * 24 * 3600;
  EXPECT_LT(X509_cmp_time(X509_get0_notAfter(leaf->front().get()), &later), 0);
}

TEST_F(DevPkiFolder, NamesTheHostsOfAKme) {
  ASSERT_TRUE(make_dev_pki(folder_, pki_));
  const auto leaf = load_certificates(folder_ / "kme" / "KME-A" / "sae.crt");
  ASSERT_TRUE(leaf);
  for (const char* host : {"localhost", "kme-a", "kme.example"})
    EXPECT_EQ(X509_check_host(leaf->front().get(), host, 0, 0, nullptr), 1) << host;
  for (const char* ip : {"127.0.0.1", "::1", "192.0.2.1"})
    EXPECT_EQ(X509_check_ip_asc(leaf->front().get(), ip, 0), 1) << ip;
}

TEST_F(DevPkiFolder, KeepsKeysToTheirOwner) {
  ASSERT_TRUE(make_dev_pki(folder_, pki_));
  int keys = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
    if (entry.path().extension() != ".key") continue;
    ++keys;
    EXPECT_EQ(entry.status().permissions(), fs::perms::owner_read | fs::perms::owner_write) << entry.path();
  }
  EXPECT_EQ(keys, 3 + 2 * 3 + 1 + 1);
}

TEST_F(DevPkiFolder, OverwritesNothing) {
  ASSERT_TRUE(make_dev_pki(folder_, pki_));
  const auto again = make_dev_pki(folder_, pki_);
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().text, HasSubstr("not empty"));
}

TEST_F(DevPkiFolder, RefusesNamesThatAreNoFileNames) {
  for (const char* name : {"", ".", "..", "../x", "a/b", ".hidden", "a b", "a\nb", "\xc3\xa4"}) {
    const auto made = make_dev_pki(folder_, {{"KME-A"}, {name}, {}, {}});
    ASSERT_FALSE(made) << name;
    EXPECT_EQ(made.error().code, ErrorCode::kInvalid);
    EXPECT_TRUE(fs::is_empty(folder_)) << name;
  }
}

TEST_F(DevPkiFolder, RefusesAHostThatWouldAddNamesOfItsOwn) {
  const auto made = make_dev_pki(folder_, {{"KME-A"}, {}, {}, {"a,URI:urn:evil"}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace qkms::certs
