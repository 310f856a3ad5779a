#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "certs/dev_ca.h"
#include "server/config.h"
#include "storage/key_file.h"

namespace qkms::server {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class ConfigFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "qkms-files-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    ASSERT_TRUE(certs::make_dev_pki(folder_ / "pki", {{"KME-A", "KME-B"}, {"SAE-A"}, {"admin"}, {}}));
    ASSERT_TRUE(storage::create_key_file(folder_ / "master.key"));
    fs::create_directory(folder_ / "state");
    config_.id = *KmeId::parse("KME-A");
    config_.state_dir = folder_ / "state";
    config_.master_key = {storage::MasterKeySource::Scheme::kFile, (folder_ / "master.key").string()};
    config_.sae = listener("KME-A", "sae");
    config_.peer = listener("KME-A", "peer");
    config_.operators = listener("KME-A", "operator");
  }
  void TearDown() override { fs::remove_all(folder_); }

  ListenerConfig listener(const std::string& kme, const std::string& profile) const {
    ListenerConfig out;
    out.certificate = folder_ / "pki" / "kme" / kme / (profile + ".crt");
    out.key = folder_ / "pki" / "kme" / kme / (profile + ".key");
    out.ca = folder_ / "pki" / (profile + "-ca.crt");
    return out;
  }
  std::string problems() const {
    const auto checked = check_files(config_);
    return checked ? "" : checked.error().text;
  }

  fs::path folder_;
  Config config_;
};

TEST_F(ConfigFiles, AreGoodWhenEverythingIsThere) { EXPECT_EQ(problems(), ""); }

TEST_F(ConfigFiles, OfADeviceAreLookedAt) {
  LinkConfig& link = config_.links.emplace_back();
  link.driver = "etsi014";
  const fs::path saes = folder_ / "pki" / "sae";
  link.etsi014.tls.certificate = saes / "SAE-A.crt";
  link.etsi014.tls.key = saes / "SAE-A.key";
  link.etsi014.tls.ca = folder_ / "pki" / "sae-ca.crt";
  EXPECT_EQ(problems(), "");
  fs::permissions(link.etsi014.tls.key, fs::perms::group_read, fs::perm_options::add);
  EXPECT_THAT(problems(), HasSubstr("SAE-A.key: has mode 0640"));
  link.driver = "simulated";
  EXPECT_EQ(problems(), "");
}

TEST_F(ConfigFiles, AreAllReportedAtOnce) {
  fs::permissions(config_.sae.key, fs::perms::group_read, fs::perm_options::add);
  fs::remove(config_.operators.ca);
  config_.state_dir = folder_ / "no" / "state";
  const std::string text = problems();
  EXPECT_THAT(text, HasSubstr("sae.key: has mode 0640"));
  EXPECT_THAT(text, HasSubstr("operator-ca.crt: cannot be opened"));
  EXPECT_THAT(text, HasSubstr("state: no such folder"));
}

TEST_F(ConfigFiles, OfADriverAreLookedAtWhenItIsTheOneInUse) {
  LinkConfig link;
  link.etsi004.tls.certificate = config_.sae.certificate;
  link.etsi004.tls.key = config_.sae.key;
  link.etsi004.tls.ca = folder_ / "pki" / "nobody.crt";
  link.driver = "files";
  config_.links = {link};
  EXPECT_EQ(problems(), "");
  config_.links.front().driver = "etsi004";
  EXPECT_THAT(problems(), HasSubstr("nobody.crt: cannot be opened"));
  config_.links.front().etsi004.tls.ca = config_.sae.ca;
  EXPECT_EQ(problems(), "");
}

TEST_F(ConfigFiles, RefuseAnotherKmesPeerCertificate) {
  config_.peer = listener("KME-B", "peer");
  EXPECT_THAT(problems(), HasSubstr("peer.crt: names \"KME-B\"; accepted: kme.id, which is \"KME-A\""));
}

TEST_F(ConfigFiles, RefuseAPeerCertificateThatCannotConnect) {
  config_.peer = listener("KME-A", "sae");
  EXPECT_THAT(problems(), HasSubstr("sae.crt: lacks an extended key usage; accepted: serverAuth and clientAuth"));
}

TEST_F(ConfigFiles, RefuseAMasterKeyOfAnotherSize) {
  fs::remove(folder_ / "master.key");
  std::ofstream(folder_ / "master.key") << "short";
  fs::permissions(folder_ / "master.key", fs::perms::owner_read);
  EXPECT_THAT(problems(), HasSubstr("master.key"));
}

TEST_F(ConfigFiles, RefuseAFileAsStateFolder) {
  config_.state_dir = folder_ / "master.key";
  EXPECT_THAT(problems(), HasSubstr("master.key: not a folder"));
}

}  // namespace
}  // namespace qkms::server
