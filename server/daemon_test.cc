// Two whole daemons in this process, joined by a simulated link, seen from outside over TLS.
#include "server/daemon.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <sstream>

#include "server/testing/site.h"
#include "server/testing/tls_client.h"

namespace qkms::server::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kEnc = "/api/v1/keys/SAE-B/enc_keys";
constexpr const char* kDec = "/api/v1/keys/SAE-A/dec_keys";
constexpr const char* kStatus = "/api/v1/keys/SAE-B/status";

std::string member(const std::string& json, const std::string& name) {
  std::smatch found;
  return std::regex_search(json, found, std::regex("\"" + name + "\":\"([^\"]*)\"")) ? found[1].str() : "";
}

class DaemonTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { pki_ = std::make_unique<Pki>(); }
  static void TearDownTestSuite() { pki_.reset(); }

  // Starts both, and waits until A has keys for B.
  void start_both() {
    b_.start();
    a_.connect_to(b_.ports().peer);
    a_.start();
    ASSERT_TRUE(eventually([&] { return status_of_get_key() == 200; }));
  }

  static TlsClient::Files sae(const std::string& name) {
    return {pki_->file("sae/" + name + ".crt"), pki_->file("sae/" + name + ".key"), pki_->file("sae-ca.crt")};
  }
  static TlsClient::Files operator_named(const std::string& name) {
    return {pki_->file("operator/" + name + ".crt"), pki_->file("operator/" + name + ".key"),
            pki_->file("operator-ca.crt")};
  }
  std::unique_ptr<TlsClient> master() { return std::make_unique<TlsClient>(a_.ports().sae, sae("SAE-A")); }
  std::unique_ptr<TlsClient> slave() { return std::make_unique<TlsClient>(b_.ports().sae, sae("SAE-B")); }
  int status_of_get_key() {
    const auto answer = master()->ask(get(kEnc));
    return answer ? answer->status : 0;
  }

  static std::unique_ptr<Pki> pki_;
  Site a_{*pki_, "KME-A", "KME-B"};
  Site b_{*pki_, "KME-B", "KME-A"};
};

std::unique_ptr<Pki> DaemonTest::pki_;

TEST_F(DaemonTest, DeliversAKeyToBothSidesOnce) {
  start_both();
  const auto at_a = master();
  const auto at_b = slave();
  for (int i = 0; i < 200; ++i) {
    const auto out = at_a->ask(post(kEnc, R"({"size":512})"));
    ASSERT_TRUE(out);
    ASSERT_EQ(out->status, 200) << out->body;
    const std::string ask_by_id = std::string(kDec) + "?key_ID=" + member(out->body, "key_ID");
    const auto in = at_b->ask(get(ask_by_id));
    ASSERT_TRUE(in);
    ASSERT_EQ(in->status, 200) << in->body;
    EXPECT_EQ(in->body, out->body);
    EXPECT_EQ(member(in->body, "key").size(), 88u);
    if (i >= 10) continue;  // whoever goes on missing is slowed down
    const auto again = at_b->ask(get(ask_by_id));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->status, 400);
    EXPECT_EQ(member(again->body, "message"), "one or more keys specified are not found on KME");
  }
}

TEST_F(DaemonTest, AnswersEveryRowOfTheContract) {
  start_both();
  const struct {
    const char* name;
    std::string request;
    int status;
    std::string header, body;  // parts of them
  } cases[] = {
      {"status", get(kStatus), 200, "application/json", "\"source_KME_ID\":\"KME-A\""},
      {"absolute form", get(std::string("https://elsewhere") + kStatus), 200, "", "stored_key_count"},
      {"a charset", post(kEnc, "{}", "Content-Type: application/json;charset=utf-8\r\n"), 200, "", "key_ID"},
      {"any media type", post(kEnc, "{}", "Content-Type: text/plain\r\n"), 200, "", "key_ID"},
      {"an empty body", post(kEnc, ""), 200, "", "key_ID"},
      {"a chunked body",
       "POST " + std::string(kEnc) + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
       200, "", "key_ID"},
      {"two keys", get(std::string(kEnc) + "?number=2&size=64"), 200, "", "},{\"key_ID\""},
      {"GET with a body", "GET " + std::string(kStatus) + " HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxx", 200,
       "", "SAE-B"},
      {"size", post(kEnc, R"({"size":65})"), 400, "", "\"size shall be a multiple of 8\""},
      {"extension", post(kEnc, R"({"extension_mandatory":[{"x_y":1}]})"), 400, "",
       "\"not all extension_mandatory parameters are supported\""},
      {"unknown key", get(std::string(kDec) + "?key_ID=00000000-0000-4000-8000-000000000000"), 400, "", "message"},
      {"broken JSON", post(kEnc, "{"), 400, "", "message"},
      {"own ID", get("/api/v1/keys/SAE-A/status"), 400, "", "message"},
      {"unknown slave", get("/api/v1/keys/SAE-Q/status"), 400, "", "message"},
      {"encoded slash", get("/api/v1/keys/a%2Fb/status"), 400, "", "message"},
      {"bad percent", get("/api/v1/keys/a%zz/status"), 400, "", "message"},
      {"no such path", get("/api/v1/keys/SAE-B/keys"), 404, "", "message"},
      {"operator's path", get("/metrics"), 404, "", "message"},
      {"POST to status", post(kStatus, "{}"), 405, "Allow: GET\r\n", "message"},
      {"DELETE", "DELETE " + std::string(kEnc) + " HTTP/1.1\r\nHost: h\r\n\r\n", 405, "Allow: GET, POST\r\n",
       "message"},
      {"unknown method", "FOO " + std::string(kEnc) + " HTTP/1.1\r\nHost: h\r\n\r\n", 405, "Allow: GET, POST\r\n",
       "message"},
      {"compressed", post(kEnc, "{}", "Content-Encoding: gzip\r\n"), 415, "", "message"},
      {"UTF-16", post(kEnc, "{}", "Content-Type: application/json; charset=\"utf-16\"\r\n"), 415, "", "message"},
  };
  const auto client = master();
  for (const auto& one : cases) {
    SCOPED_TRACE(one.name);
    const auto answer = client->ask(one.request);
    ASSERT_TRUE(answer) << "the connection lives on";
    EXPECT_EQ(answer->status, one.status) << answer->body;
    EXPECT_THAT(answer->header, HasSubstr(one.header));
    EXPECT_THAT(answer->body, HasSubstr(one.body));
  }
}

TEST_F(DaemonTest, RefusesDoubtfulFramingAndCloses) {
  b_.start();
  const std::string post_line = "POST " + std::string(kEnc) + " HTTP/1.1\r\nHost: h\r\n";
  const std::string smuggled = "GET " + std::string(kStatus) + " HTTP/1.1\r\nHost: h\r\n\r\n";
  const struct {
    const char* name;
    std::string request;
    int status;
  } cases[] = {
      {"CL and TE", post_line + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"TE xchunked", post_line + "Transfer-Encoding: xchunked\r\n\r\n", 501},
      {"two CL", post_line + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400},
      {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"bare LF", "GET / HTTP/1.1\nHost: h\n\n", 400},
      {"body too large", post_line + "Content-Length: 70000\r\n\r\n", 413},
      {"header too large", post_line + "X: " + std::string(9000, 'x') + "\r\n\r\n", 431},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.name);
    TlsClient client(b_.ports().sae, sae("SAE-B"));
    const auto answer = client.ask(one.request + smuggled);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, one.status);
    EXPECT_THAT(answer->body, HasSubstr("\"message\""));
    EXPECT_THAT(answer->header, HasSubstr("Connection: close\r\n"));
    EXPECT_TRUE(client.closed()) << "what follows is not executed";
  }
}

TEST_F(DaemonTest, ServesTheOddClientsInTheField) {
  b_.start();
  const std::string status_of_a = "/api/v1/keys/SAE-A/status";
  TlsClient client(b_.ports().sae, sae("SAE-B"));
  ASSERT_TRUE(client.send(get(status_of_a) + get(status_of_a)));
  EXPECT_EQ(client.receive().value_or(Answer{}).status, 200);
  EXPECT_EQ(client.receive().value_or(Answer{}).status, 200) << "pipelined";
  for (const char byte : get(status_of_a)) ASSERT_TRUE(client.send(std::string_view(&byte, 1)));
  EXPECT_EQ(client.receive().value_or(Answer{}).status, 200) << "a byte for each TLS record";

  const std::string expecting =
      "POST /api/v1/keys/SAE-A/enc_keys HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
  EXPECT_EQ(client.ask(expecting).value_or(Answer{}).status, 100);
  EXPECT_EQ(client.ask("{").value_or(Answer{}).status, 400);

  ASSERT_TRUE(client.send("HEAD " + status_of_a + " HTTP/1.1\r\nHost: h\r\n\r\n"));
  EXPECT_EQ(client.receive(true).value_or(Answer{}).status, 405) << "header only";
  EXPECT_EQ(client.ask("GET " + status_of_a + " HTTP/1.0\r\n\r\n").value_or(Answer{}).status, 200);
  EXPECT_TRUE(client.closed()) << "HTTP/1.0";
}

TEST_F(DaemonTest, DeniesWhoeverIsNotEntitled) {
  b_.start();
  const auto with_file = [&](TlsClient::Files files, const char* ca) {
    files.ca = pki_->file(ca);
    return files;
  };
  TlsClient nobody(b_.ports().sae, {"", "", pki_->file("sae-ca.crt")});
  EXPECT_FALSE(nobody.ask(get(kStatus))) << "no certificate";
  TlsClient wrong_kind(b_.ports().sae, with_file(operator_named("admin"), "sae-ca.crt"));
  EXPECT_FALSE(wrong_kind.ask(get(kStatus))) << "an operator's certificate at the SAE listener";
  TlsClient sae_as_operator(b_.ports().operators, with_file(sae("SAE-B"), "operator-ca.crt"));
  EXPECT_FALSE(sae_as_operator.ask(get("/livez")));

  TlsClient stranger(b_.ports().operators, operator_named("stranger"));
  const auto answer = stranger.ask(get("/metrics"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 401);
  EXPECT_THAT(answer->header, HasSubstr("Content-Length: 0\r\n"));
}

TEST_F(DaemonTest, GivesAKeyOnlyToItsSlave) {
  start_both();
  const auto out = master()->ask(get(kEnc));
  ASSERT_TRUE(out);
  const std::string by_id = std::string(kDec) + "?key_ID=" + member(out->body, "key_ID");
  TlsClient other(b_.ports().sae, sae("SAE-X"));
  const auto foreign = other.ask(get(by_id));
  ASSERT_TRUE(foreign);
  EXPECT_EQ(foreign->status, 401);
  EXPECT_EQ(foreign->body, "");
  EXPECT_EQ(slave()->ask(get(by_id)).value_or(Answer{}).status, 200) << "and nothing was consumed";
}

TEST_F(DaemonTest, TellsOperatorsHowItIs) {
  start_both();
  TlsClient admin(a_.ports().operators, operator_named("admin"));
  EXPECT_EQ(admin.ask(get("/livez")).value_or(Answer{}).body, "ok\n");
  const auto ready = admin.ask(get("/readyz?verbose"));
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->status, 200);
  EXPECT_EQ(ready->body,
            "[+]store ok\n[+]peers ok\n[+]clock ok\n[+]disk ok\n[+]peer KME-B ok\n"
            "[!]link link IS SIMULATED: its keys are not secret\n");
  const auto metrics = admin.ask(get("/metrics"));
  ASSERT_TRUE(metrics);
  for (const char* line :
       {"qkms_requests_total{method=\"enc_keys\",status=\"200\"} ", "qkms_link_simulated{link=\"link\"} 1\n",
        "qkms_reservoir_bits{peer=\"KME-B\",category=\"delivered\"} 256\n", "qkms_store_open 1\n",
        "qkms_peer_session_up{peer=\"KME-B\"} 1\n", "qkms_build_info{version=\""}) {
    EXPECT_THAT(metrics->body, HasSubstr(line));
  }
  EXPECT_EQ(admin.ask(post("/livez", "")).value_or(Answer{}).status, 405);

  b_.stop();
  EXPECT_TRUE(eventually([&] { return admin.ask(get("/readyz")).value_or(Answer{}).status == 503; }));
  EXPECT_THAT(admin.ask(get("/readyz")).value_or(Answer{}).body,
              HasSubstr("[-]peers failed: no session with any peer\n"));
}

TEST_F(DaemonTest, Answers503WhileThePeerIsAwayAndRecoversByItself) {
  start_both();
  b_.stop();
  const auto begin = std::chrono::steady_clock::now();
  const auto refused = master()->ask(get(kEnc));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
  EXPECT_THAT(refused->body, HasSubstr("\"qkms_reason\":\"peer-unreachable\""));
  EXPECT_THAT(refused->header, HasSubstr("Retry-After: "));
  b_.start();
  EXPECT_TRUE(eventually([&] { return status_of_get_key() == 200; }));
}

TEST_F(DaemonTest, ClosesWhoeverTakesTooLong) {
  b_.config.limits.handshake_ms = 300;
  b_.config.limits.header_ms = 300;
  b_.config.limits.body_ms = 300;
  b_.config.limits.idle_ms = 300;
  b_.start();
  const struct {
    const char* name;
    std::string bytes;
  } cases[] = {
      {"idle", ""},
      {"in the header", "GET / HT"},
      {"in the body", "POST " + std::string(kEnc) + " HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{"},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.name);
    TlsClient client(b_.ports().sae, sae("SAE-B"));
    ASSERT_TRUE(client.connected());
    if (!one.bytes.empty()) {
      ASSERT_TRUE(client.send(one.bytes));
    }
    EXPECT_TRUE(client.closed());
  }
}

TEST_F(DaemonTest, TurnsConnectionsAwayAboveItsLimit) {
  b_.config.limits.max_connections_per_client = 2;
  b_.start();
  auto one = std::make_unique<TlsClient>(b_.ports().sae, sae("SAE-B"));
  TlsClient two(b_.ports().sae, sae("SAE-B"));
  EXPECT_TRUE(one->connected() && two.connected());
  TlsClient three(b_.ports().sae, sae("SAE-B"));
  EXPECT_FALSE(three.connected());
  TlsClient admin(b_.ports().operators, operator_named("admin"));
  EXPECT_TRUE(admin.connected()) << "operators are counted by themselves";
  one.reset();
  EXPECT_TRUE(eventually([&] { return TlsClient(b_.ports().sae, sae("SAE-B")).connected(); }));
}

TEST_F(DaemonTest, RefusesWhileItIsSealedWithoutSayingWhenToComeBack) {
  b_.start();
  const std::string status = "/api/v1/keys/SAE-A/status";
  {
    TlsClient admin(b_.ports().operators, operator_named("admin"));
    const auto sealed = admin.ask(post("/seal", ""));
    ASSERT_TRUE(sealed && sealed->status == 200);
    const auto refused = slave()->ask(get(status));
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->status, 503);
    EXPECT_THAT(refused->header, Not(HasSubstr("Retry-After")));
    EXPECT_THAT(refused->body, HasSubstr("the KME is sealed"));
    const auto unsealed = admin.ask(post("/unseal", ""));
    ASSERT_TRUE(unsealed && unsealed->status == 200);
    EXPECT_EQ(slave()->ask(get(status))->status, 200);
    ASSERT_EQ(admin.ask(post("/seal", ""))->status, 200);
  }
  b_.stop();
  b_.start();  // its key is in a file
  EXPECT_EQ(slave()->ask(get(status))->status, 200);
}

TEST_F(DaemonTest, StopsAtOnceWithIdleConnectionsOpen) {
  b_.start();
  TlsClient idle(b_.ports().sae, sae("SAE-B"));
  ASSERT_TRUE(idle.connected());
  const auto begin = std::chrono::steady_clock::now();
  b_.stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
  EXPECT_TRUE(idle.closed());
}

TEST_F(DaemonTest, SaysClearlyWhyItCannotStart) {
  b_.start();
  const auto failure_of = [](const Config& config) {
    const auto started = Daemon::start(config, "", [] {});
    return started ? StartFailure{ExitCode::kOk, ""} : started.error();
  };
  Config same_store = b_.config;
  StartFailure failure = failure_of(same_store);
  EXPECT_EQ(failure.code, ExitCode::kBusy) << failure.text;

  Config same_port = a_.config;
  same_port.sae.port = b_.ports().sae;
  failure = failure_of(same_port);
  EXPECT_EQ(failure.code, ExitCode::kIo);
  EXPECT_THAT(failure.text, HasSubstr("cannot listen on 127.0.0.1 port " + std::to_string(b_.ports().sae)));

  Config wrong_key = a_.config;
  wrong_key.sae.key = pki_->file("kme/KME-B/sae.key");
  failure = failure_of(wrong_key);
  EXPECT_EQ(failure.code, ExitCode::kConfig);
  EXPECT_THAT(failure.text, HasSubstr("sae.key"));

  Config no_master_key = a_.config;
  no_master_key.master_key.place = "/nowhere";
  EXPECT_EQ(failure_of(no_master_key).code, ExitCode::kConfig);
}

}  // namespace
}  // namespace qkms::server::testing
