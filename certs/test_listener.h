// For tests: a listener's files in a folder of its own, and the context made of them.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "certs/test_certificates.h"
#include "certs/tls_context.h"

namespace qkms::certs {

// A listener with a certificate of its own and a CA "clients" whose certificates it takes.
class ListenerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "qkms-tls-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    ca_ = make_certificate(ca_spec("clients"));
    server_spec_.subject = {{NID_commonName, "KME-A"}};
    server_spec_.extensions.back().second = "serverAuth,clientAuth";
    server_ = make_certificate(server_spec_, &ca_);
    ASSERT_TRUE(write_credential(ca_, folder_, "ca"));
    ASSERT_TRUE(write_credential(server_, folder_, "server"));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  TlsFiles files(const std::string& name = "server") const {
    return {folder_ / (name + ".crt"), folder_ / (name + ".key"), folder_ / "ca.crt"};
  }
  SslContextPtr listener(TlsMinimum minimum = TlsMinimum::k1_2) const {
    auto context = make_server_context(files(), minimum);
    EXPECT_TRUE(context) << context.error().text;
    return std::move(*context);
  }
  // `crl`: the text of a file with revocation lists.
  SslContextPtr listener_with(const std::string& crl) const {
    auto with = files();
    with.crl = write("crl.pem", crl);
    auto context = make_server_context(with, TlsMinimum::k1_2);
    EXPECT_TRUE(context) << context.error().text;
    return context ? std::move(*context) : nullptr;
  }
  std::filesystem::path write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    const std::filesystem::path file = folder_ / name;
    std::ofstream(file) << text;
    chmod(file.c_str(), mode);
    return file;
  }
  std::string refusal(const TlsFiles& with) const {
    const auto context = make_server_context(with, TlsMinimum::k1_2);
    return context ? "" : context.error().text;
  }

  std::filesystem::path folder_;
  CertificateSpec server_spec_;
  Credential ca_, server_;
};

}  // namespace qkms::certs
