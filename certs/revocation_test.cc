// Threats T08 (revocation lists of every bad kind; nothing is fetched) and T37 (files that are none).
#include "certs/revocation.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "certs/test_listener.h"

namespace qkms::certs {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;
using Revocation = ListenerTest;

struct ListCase {
  const char* name;
  std::string text;
  const char* refusal;  // a part of the message; "": taken
};

TEST_F(Revocation, TakesOnlyListsThatItCanRelyOn) {
  const Credential same_name = make_certificate(ca_spec("clients")), other = make_certificate(ca_spec("others"));
  const auto with = [](int nid, const char* value) { return CrlSpec{.extensions = {{nid, value}}}; };
  const auto scope = [&](const char* value) { return make_crl(with(NID_issuing_distribution_point, value), ca_); };
  const std::string good = make_crl({}, ca_);
  std::string cut = good;
  cut.erase(cut.size() / 2, 40);
  const ListCase cases[] = {
      {"T08 a good one", good, ""},
      {"T08 two of one CA", good + make_crl({}, ca_), ""},
      {"T08 with a number", make_crl(with(NID_crl_number, "DER:020117"), ca_), ""},
      {"T08 for users' certificates", scope("critical,onlyuser:TRUE"), ""},
      {"T08 forged: a CA of the same name", make_crl({}, same_name), "\"CN=clients\" is not signed by one of the CAs"},
      {"T08 of another issuer", make_crl({}, other), "\"CN=others\" is not signed by one of the CAs"},
      {"T08 a good one, then a forged one", good + make_crl({}, same_name), "is not signed by one of the CAs"},
      {"T08 stale", make_crl({.from_days = -3, .to_seconds = -60}, ca_), "ended on "},
      {"T08 not yet valid", make_crl({.from_days = 1, .to_seconds = 3 * 86400}, ca_), "is not valid before "},
      {"T08 without an end", make_crl({.to_seconds = {}}, ca_), "has no date of its next update"},
      {"T08 delta", make_crl(with(NID_delta_crl, "critical,DER:020101"), ca_), "is a delta"},
      {"T08 indirect", scope("critical,indirectCRL:TRUE"), "is indirect"},
      {"T08 for some reasons", scope("critical,onlysomereasons:keyCompromise"), "is for some reasons only"},
      {"T08 for attribute certificates", scope("critical,onlyAA:TRUE"), "is for attribute certificates"},
      {"T08 a scope that is none", make_crl(with(NID_issuing_distribution_point, "critical,DER:0500"), ca_),
       "has a scope that cannot be read"},
      {"T08 a critical extension of nobody", make_crl(with(NID_netscape_comment, "critical,DER:0500"), ca_),
       "critical extension that is not known"},
      {"T08 an entry of another issuer", make_crl({.entry_of_another_issuer = "other.test"}, ca_), "or is indirect"},
      {"T08 signed with SHA-1", make_crl({.digest = "SHA1"}, ca_), "digest that is too weak"},
      {"T37 damaged", cut, "has a damaged revocation list"},
      {"T37 empty", "", "crl.pem: empty"},
      {"T37 text", "hello", "has no revocation list"},
      {"T37 a certificate",
       [this] {
         std::ifstream in(files().ca);
         return std::string(std::istreambuf_iterator<char>(in), {});
       }(),
       "has no revocation list"},
  };
  for (const auto& c : cases) {
    auto with_list = files();
    with_list.crl = write("crl.pem", c.text);
    const std::string message = refusal(with_list);
    EXPECT_EQ(message.empty(), *c.refusal == '\0') << c.name << ": " << message;
    EXPECT_THAT(message, HasSubstr(c.refusal)) << c.name;
    EXPECT_TRUE(message.empty() || message.contains("crl.pem")) << c.name;
  }
}

TEST_F(Revocation, KnowsTheDigestOfAPssSignature) {  // T08
  CertificateSpec spec = ca_spec("clients");
  spec.key = "RSA-2048";
  const Credential rsa = make_certificate(spec);
  for (const auto& [digest, taken] : {std::pair("SHA1", false), std::pair("SHA256", true)}) {
    const auto file = folder_ / (std::string("pss-") + digest);
    std::ofstream(file) << make_crl({.digest = digest, .padding = CrlSpec::RsaPadding::kPss}, rsa);
    std::vector<X509Ptr> cas;
    X509_up_ref(rsa.certificate.get());
    cas.emplace_back(rsa.certificate.get());
    EXPECT_EQ(RevocationLists::load(file, cas, "ca.crt").has_value(), taken) << digest;
  }
}

TEST_F(Revocation, RefusesFilesThatAreNone) {  // T37
  const auto with_list = [this](const fs::path& file) {
    auto with = files();
    with.crl = file;
    return refusal(with);
  };
  EXPECT_THAT(with_list(folder_ / "none"), HasSubstr("none: cannot be opened: No such file"));
  EXPECT_THAT(with_list(folder_), HasSubstr("not a regular file"));
  ASSERT_EQ(mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(with_list(folder_ / "fifo"), HasSubstr("fifo: not a regular file"));
  const auto sparse = write("sparse.pem", "x");
  fs::resize_file(sparse, std::uintmax_t{1} << 30);
  EXPECT_THAT(with_list(sparse), HasSubstr("sparse.pem: larger than 16777216 bytes"));
  EXPECT_THAT(with_list(write("open.pem", make_crl({}, ca_), 0666)), HasSubstr("open.pem: has mode 0666"));
  fs::create_symlink(write("crl.pem", make_crl({}, ca_)), folder_ / "link.pem");
  EXPECT_EQ(with_list(folder_ / "link.pem"), "") << "public files may be links: the target is what is judged";
  if (geteuid() != 0) GTEST_SKIP() << "to give a file away needs root";
  const auto given = write("given.pem", make_crl({}, ca_), 0644);
  ASSERT_EQ(chown(given.c_str(), 65534, 65534), 0);
  EXPECT_THAT(with_list(given), HasSubstr("given.pem: belongs to another user"));
}

TEST_F(Revocation, WantsAListOfEachCa) {  // T08
  const Credential second = make_certificate(ca_spec("second"));
  auto cannot_sign_lists = ca_spec("third");
  cannot_sign_lists.extensions = ca_extensions_and(NID_key_usage, "critical,keyCertSign");
  const Credential third = make_certificate(cannot_sign_lists);
  ASSERT_TRUE(write_credential(second, folder_, "second"));
  ASSERT_TRUE(write_credential(third, folder_, "third"));
  auto with = files();
  with.crl = write("crl.pem", make_crl({}, second));
  with.ca = folder_ / "second.crt";
  EXPECT_EQ(refusal(with), "");
  std::ofstream(with.ca, std::ios::app) << std::ifstream(files().ca).rdbuf();
  EXPECT_THAT(refusal(with), HasSubstr("has no revocation list of \"CN=clients\""));
  ASSERT_TRUE(write_credential(make_certificate(ca_spec("second")), folder_, "namesake"));
  ASSERT_TRUE(write_credential(second, folder_, "pair"));
  with.ca = folder_ / "pair.crt";
  std::ofstream(with.ca, std::ios::app) << std::ifstream(folder_ / "namesake.crt").rdbuf();
  EXPECT_THAT(refusal(with), HasSubstr("has no revocation list of \"CN=second\"")) << "of the other one of that name";
  with.ca = folder_ / "third.crt";
  with.crl = write("third.pem", make_crl({}, third));
  EXPECT_THAT(refusal(with), HasSubstr("\"CN=third\" is not signed by one of the CAs")) << "its CA may not sign lists";
}

struct ChainCase {
  const char* name;
  ClientIdentity client;
  SSL_CTX* listener;
  long expected;
};

// A root "clients" with its list, and an intermediate CA that has one too, or not.
TEST_F(Revocation, RefusesRevokedCertificatesOfAnyLevel) {  // T08
  const auto numbered = [](long serial) { return CertificateSpec{.serial = serial}; };
  auto middle_spec = ca_spec("middle");
  middle_spec.serial = 100;
  const Credential middle = make_certificate(middle_spec, &ca_);
  const Credential direct = make_certificate(numbered(21), &ca_), revoked = make_certificate(numbered(22), &ca_);
  const Credential below = make_certificate(numbered(22), &middle),
                   below_revoked = make_certificate(numbered(24), &middle);

  const auto root_alone = listener_with(make_crl({.revoked = {&revoked}}, ca_));
  ASSERT_TRUE(write_credential(middle, folder_, "middle"));
  std::ofstream(folder_ / "ca.crt", std::ios::app) << std::ifstream(folder_ / "middle.crt").rdbuf();
  const std::string of_middle = make_crl({.revoked = {&below_revoked}}, middle);
  const auto both = listener_with(make_crl({.revoked = {&revoked}}, ca_) + of_middle);
  const auto without_middle = listener_with(make_crl({.revoked = {&middle}}, ca_) + of_middle);

  const ChainCase cases[] = {
      {"T08 not revoked", {&direct, {}}, root_alone.get(), X509_V_OK},
      {"T08 revoked leaf", {&revoked, {}}, root_alone.get(), X509_V_ERR_CERT_REVOKED},
      {"T08 no list of the intermediate", {&below, {&middle}}, root_alone.get(), X509_V_ERR_UNABLE_TO_GET_CRL},
      {"T08 intermediate with a list", {&below, {&middle}}, both.get(), X509_V_OK},
      {"T07 same serial, revoked by the other CA", {&revoked, {}}, both.get(), X509_V_ERR_CERT_REVOKED},
      {"T08 revoked by the intermediate", {&below_revoked, {&middle}}, both.get(), X509_V_ERR_CERT_REVOKED},
      {"T08 revoked intermediate", {&below, {&middle}}, without_middle.get(), X509_V_ERR_CERT_REVOKED},
      {"T08 beside a revoked intermediate", {&direct, {}}, without_middle.get(), X509_V_OK},
  };
  for (const auto& c : cases) {
    const auto handshake = shake_hands(c.listener, make_careless_client(c.client).get());
    EXPECT_EQ(handshake.verify_result, c.expected)
        << c.name << ": " << X509_verify_cert_error_string(handshake.verify_result);
    EXPECT_EQ(handshake.done, c.expected == X509_V_OK) << c.name;
  }
}

TEST_F(Revocation, KeepsToWhatAListCovers) {  // T08
  const auto with = [](const char* point, bool is_revoked) {
    CertificateSpec spec{.serial = is_revoked ? 22 : 21};
    if (*point != '\0') spec.extensions.emplace_back(NID_crl_distribution_points, point);
    return spec;
  };
  const auto list = [&](const char* scope, const Credential& revoked) {
    return make_crl({.revoked = {&revoked}, .extensions = {{NID_issuing_distribution_point, scope}}}, ca_);
  };
  const char* here = "URI:http://crl.test/1";
  const char* elsewhere = "URI:http://crl.test/2";
  const Credential at_1 = make_certificate(with(here, false), &ca_),
                   revoked_at_1 = make_certificate(with(here, true), &ca_);
  const Credential at_2 = make_certificate(with(elsewhere, false), &ca_),
                   nowhere = make_certificate(with("", false), &ca_);
  const auto part = listener_with(list("critical,fullname:URI:http://crl.test/1", revoked_at_1));
  const auto for_cas = listener_with(list("critical,onlyCA:TRUE", revoked_at_1));
  const auto for_users = listener_with(list("critical,onlyuser:TRUE", revoked_at_1));
  auto middle_spec = ca_spec("middle");
  middle_spec.serial = 100;
  const Credential middle = make_certificate(middle_spec, &ca_), below = make_certificate(with("", false), &middle);
  ASSERT_TRUE(write_credential(middle, folder_, "middle"));
  std::ofstream(folder_ / "ca.crt", std::ios::app) << std::ifstream(folder_ / "middle.crt").rdbuf();
  const auto for_users_and_middle = listener_with(list("critical,onlyuser:TRUE", revoked_at_1) + make_crl({}, middle));
  const ChainCase cases[] = {
      {"a list for users, and a CA", {&below, {&middle}}, for_users_and_middle.get(), X509_V_ERR_UNABLE_TO_GET_CRL},
      {"its part", {&at_1, {}}, part.get(), X509_V_OK},
      {"its part, revoked", {&revoked_at_1, {}}, part.get(), X509_V_ERR_CERT_REVOKED},
      {"another part", {&at_2, {}}, part.get(), X509_V_ERR_UNABLE_TO_GET_CRL},
      {"of no part", {&nowhere, {}}, part.get(), X509_V_ERR_UNABLE_TO_GET_CRL},
      {"a list for CAs", {&at_1, {}}, for_cas.get(), X509_V_ERR_UNABLE_TO_GET_CRL},
      {"a list for users", {&at_1, {}}, for_users.get(), X509_V_OK},
      {"a list for users, revoked", {&revoked_at_1, {}}, for_users.get(), X509_V_ERR_CERT_REVOKED},
  };
  for (const auto& c : cases) {
    const auto handshake = shake_hands(c.listener, make_careless_client(c.client).get());
    EXPECT_EQ(handshake.verify_result, c.expected)
        << c.name << ": " << X509_verify_cert_error_string(handshake.verify_result);
  }
}

TEST_F(Revocation, RefusesEverybodyOnceTheListHasEnded) {  // T08: fails closed
  const Credential leaf = make_certificate({}, &ca_);
  const auto client = make_careless_client({&leaf, {}});
  const auto ending = listener_with(make_crl({.to_seconds = 3}, ca_));
  ASSERT_NE(ending, nullptr);
  EXPECT_TRUE(shake_hands(ending.get(), client.get()).done);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  long verdict = X509_V_OK;
  while (verdict == X509_V_OK && std::chrono::steady_clock::now() < deadline)
    verdict = shake_hands(ending.get(), client.get()).verify_result;
  EXPECT_EQ(verdict, X509_V_ERR_CRL_HAS_EXPIRED);
}

TEST_F(Revocation, HoldsForWhomWeConnectToAsWell) {  // T04, T08
  auto with = files();
  with.crl = write("crl.pem", make_crl({}, ca_));
  const auto trusting = make_client_context(with, TlsMinimum::k1_3);
  ASSERT_TRUE(trusting) << trusting.error().text;
  EXPECT_TRUE(shake_hands(listener().get(), trusting->get()).done);
  with.crl = write("crl.pem", make_crl({.revoked = {&server_}}, ca_));
  const auto warned = make_client_context(with, TlsMinimum::k1_3);
  ASSERT_TRUE(warned) << warned.error().text;
  const auto handshake = shake_hands(listener().get(), warned->get());
  EXPECT_FALSE(handshake.done);
  EXPECT_EQ(SSL_get_verify_result(handshake.client.get()), X509_V_ERR_CERT_REVOKED);
}

TEST_F(Revocation, TakesALargeList) {  // T08, T13
  const Credential leaf = make_certificate({.serial = 21}, &ca_), revoked = make_certificate({.serial = 22}, &ca_);
  const std::string text = make_crl({.revoked = {&revoked}, .more_entries = 350'000}, ca_);
  EXPECT_GT(text.size(), 10'000'000u);
  const auto large = listener_with(text);
  ASSERT_NE(large, nullptr);
  EXPECT_TRUE(shake_hands(large.get(), make_careless_client({&leaf, {}}).get()).done);
  EXPECT_EQ(shake_hands(large.get(), make_careless_client({&revoked, {}}).get()).verify_result,
            X509_V_ERR_CERT_REVOKED);
}

// A web server of whom nobody ever asks anything.
class Trap {
 public:
  Trap() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(socket_, generic, size), 0);
    EXPECT_EQ(listen(socket_, 16), 0);
    EXPECT_EQ(getsockname(socket_, generic, &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~Trap() { close(socket_); }
  Trap(const Trap&) = delete;
  Trap& operator=(const Trap&) = delete;
  std::string url(const std::string& path) const {
    return "URI:http://127.0.0.1:" + std::to_string(port_) + "/" + path;
  }
  bool was_called() const {
    const int caller = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
    if (caller >= 0) close(caller);
    return caller >= 0;
  }
  void call() const {
    const int caller = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port_);
    EXPECT_EQ(connect(caller, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    close(caller);
  }

 private:
  int socket_;
  std::uint16_t port_ = 0;
};

TEST_F(Revocation, FetchesNothingThatACertificateNames) {  // T08: Keycloak GHSA-38cg-gg9j-q9j9
  const Trap trap;
  CertificateSpec spec;
  spec.extensions.emplace_back(NID_crl_distribution_points, trap.url("list.crl"));
  spec.extensions.emplace_back(NID_info_access, "OCSP;" + trap.url("ocsp") + ",caIssuers;" + trap.url("ca.crt"));
  const Credential unknown_ca = make_certificate(ca_spec("unknown"));
  const Credential ours = make_certificate(spec, &ca_), foreign = make_certificate(spec, &unknown_ca);
  const auto without_lists = listener(), with_lists = listener_with(make_crl({}, ca_));
  for (auto* context : {without_lists.get(), with_lists.get()}) {
    EXPECT_TRUE(shake_hands(context, make_careless_client({&ours, {}}).get()).done);
    EXPECT_FALSE(shake_hands(context, make_careless_client({&foreign, {}}).get()).done);
  }
  EXPECT_FALSE(trap.was_called());
  trap.call();
  EXPECT_TRUE(trap.was_called()) << "the trap works";
}

}  // namespace
}  // namespace qkms::certs
