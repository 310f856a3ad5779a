// Runs the built qkmsctl, against a TLS server with one canned answer where a daemon is needed.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "certs/dev_ca.h"
#include "certs/tls_context.h"

extern char** environ;

namespace qkms::cli {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

struct Ran {
  int status = -1;
  std::string out, err;
};

std::string contents(const fs::path& file) {
  std::ifstream in(file);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

// Serves one TLS connection on loopback: reads a request, answers (or only reads, when there is no answer), and closes.
class OneAnswer {
 public:
  OneAnswer(const certs::TlsFiles& files, std::string answer) : answer_(std::move(answer)) {
    auto context = certs::make_server_context(files, certs::TlsMinimum::k1_3);
    EXPECT_TRUE(context) << context.error().text;
    context_ = std::move(*context);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~OneAnswer() { finish(); }
  OneAnswer(const OneAnswer&) = delete;
  OneAnswer& operator=(const OneAnswer&) = delete;

  std::string url() const { return fmt::format("https://127.0.0.1:{}", port_); }
  std::uint16_t port() const { return port_; }
  // What was asked; ends the server.
  const std::string& finish() {
    if (thread_.joinable()) {
      shutdown(listener_, SHUT_RDWR);  // ends accept() if nobody came
      thread_.join();
      close(listener_);
    }
    return request_;
  }

 private:
  void serve() {
    const int connection = accept(listener_, nullptr, nullptr);
    if (connection < 0) return;
    const timeval patience{10, 0};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const certs::SslPtr ssl(SSL_new(context_.get()));
    SSL_set_fd(ssl.get(), connection);
    if (SSL_accept(ssl.get()) == 1) exchange(ssl.get());
    close(connection);
  }

  void exchange(SSL* ssl) {
    std::array<char, 4096> part;
    int count = 1;
    while (count > 0 && (answer_.empty() || !request_.contains("\r\n\r\n"))) {
      count = SSL_read(ssl, part.data(), part.size());
      if (count > 0) request_.append(part.data(), static_cast<std::size_t>(count));
    }
    if (answer_.empty()) return;
    SSL_write(ssl, answer_.data(), static_cast<int>(answer_.size()));
    SSL_shutdown(ssl);
  }

  std::string answer_, request_;
  certs::SslContextPtr context_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

class Qkmsctl : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "qkmsctl-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  Ran run(std::vector<std::string> words) const {
    words.insert(words.begin(), QKMSCTL);
    std::vector<char*> raw;
    for (auto& word : words) raw.push_back(word.data());
    raw.push_back(nullptr);
    const fs::path out = folder_ / "stdout", err = folder_ / "stderr";
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, input_.c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&files, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t child = 0;
    EXPECT_EQ(posix_spawn(&child, QKMSCTL, &files, nullptr, raw.data(), environ), 0);
    posix_spawn_file_actions_destroy(&files);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, contents(out), contents(err)};
  }

  fs::path make_pki() const {
    const fs::path pki = folder_ / "pki";
    EXPECT_EQ(run({"dev-pki", "--out", pki, "--kme", "KME-A", "--sae", "SAE-A", "--operator", "admin"}).status, 0);
    return pki;
  }
  static certs::TlsFiles listener(const fs::path& pki, const std::string& profile = "operator") {
    return {pki / "kme/KME-A" / (profile + ".crt"), pki / "kme/KME-A" / (profile + ".key"),
            pki / (profile + "-ca.crt")};
  }
  static std::vector<std::string> as_admin(const fs::path& pki, std::vector<std::string> words) {
    for (const std::string& word : {std::string("--cert"), (pki / "operator/admin.crt").string(), std::string("--key"),
                                    (pki / "operator/admin.key").string()}) {
      words.push_back(word);
    }
    return words;
  }

  fs::path folder_;
  fs::path input_ = "/dev/null";  // standard input of what runs
};

TEST_F(Qkmsctl, HelpsAndSaysItsVersion) {
  EXPECT_THAT(run({"--help"}).out, HasSubstr("new-master-key"));
  EXPECT_THAT(run({"--version"}).out, HasSubstr("qkmsctl "));
  for (const char* command : {"live", "ready", "metrics", "dev-pki", "new-master-key", "reference-config"}) {
    const Ran ran = run({command, "--help"});
    EXPECT_EQ(ran.status, 0) << command;
    EXPECT_THAT(ran.out, HasSubstr(fmt::format("usage: qkmsctl {}", command)));
  }
}

TEST_F(Qkmsctl, RefusesAWrongCommandLine) {
  struct Case {
    std::vector<std::string> words;
    const char* expected;
  };
  const Case cases[] = {{{}, "usage:"},
                        {{"dance"}, "unknown command \"dance\""},
                        {{"dev-pki"}, "--out DIR is missing"},
                        {{"new-master-key"}, "KEY is missing"},
                        {{"live", "--cert", "x"}, "--key FILE is missing"}};
  for (const auto& c : cases) {
    const Ran ran = run(c.words);
    EXPECT_EQ(ran.status, 2) << c.expected;
    EXPECT_THAT(ran.err, HasSubstr(c.expected));
  }
}

TEST_F(Qkmsctl, MakesNoMasterKeyWithoutAScheme) {
  const Ran ran = run({"new-master-key", (folder_ / "master.key").string()});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("file:PATH, credential:NAME, passphrase:PATH, or pkcs11:URI"));
}

TEST_F(Qkmsctl, MakesAPassphraseOfOneLineOfStandardInput) {
  const std::string file = (folder_ / "passphrase").string();
  const auto typed = [&](std::string_view text) {
    std::ofstream(input_ = folder_ / "typed", std::ios::trunc) << text;
    return run({"new-master-key", "passphrase:" + file});
  };
  EXPECT_THAT(typed("").err, HasSubstr("nothing was typed"));
  EXPECT_THAT(typed("\n").err, HasSubstr("nothing was typed"));
  EXPECT_THAT(typed("fourteen bytes\n").err, HasSubstr("15 to 1024 bytes"));
  EXPECT_THAT(typed(std::string(1025, 'a') + "\n").err, HasSubstr("more than 1024 bytes"));
  EXPECT_FALSE(fs::exists(file));
  const Ran made = typed("correct horse battery\nand more\n");
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_THAT(made.out + made.err + contents(file), testing::Not(HasSubstr("horse")));
  EXPECT_THAT(contents(file), testing::StartsWith("qkms-scrypt-1 n=131072 "));
}

TEST_F(Qkmsctl, MakesAMasterKeyOnce) {
  const fs::path file = folder_ / "master.key";
  EXPECT_EQ(run({"new-master-key", "file:" + file.string()}).status, 0);
  EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  const std::string before = contents(file);
  const Ran again = run({"new-master-key", "file:" + file.string()});
  EXPECT_EQ(again.status, 1);
  EXPECT_THAT(again.err, HasSubstr("master.key"));
  EXPECT_EQ(contents(file), before);
}

TEST_F(Qkmsctl, AsksADaemonAndPrintsItsAnswer) {
  const fs::path pki = make_pki();
  struct Case {
    const char* command;
    const char* path;
  };
  for (const auto& [command, path] :
       {Case{"live", "/livez"}, Case{"ready", "/readyz?verbose"}, Case{"metrics", "/metrics"}}) {
    OneAnswer daemon(listener(pki), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    const Ran ran = run(as_admin(pki, {command, "--url", daemon.url(), "--ca", pki / "operator-ca.crt"}));
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.out, "ok\n");
    EXPECT_THAT(daemon.finish(), testing::StartsWith(fmt::format("GET {} HTTP/1.1\r\nHost: 127.0.0.1:", path)));
  }
}

TEST_F(Qkmsctl, FailsWhenTheDaemonIsNotReady) {
  const fs::path pki = make_pki();
  OneAnswer daemon(listener(pki), "HTTP/1.1 503 No\r\n\r\nstore: closed\n");
  const Ran ran = run(as_admin(pki, {"ready", "--url", daemon.url(), "--ca", pki / "operator-ca.crt"}));
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.out, "store: closed\n");
  EXPECT_THAT(ran.err, HasSubstr("answered 503 to /readyz?verbose"));
}

TEST_F(Qkmsctl, FindsTheDaemonByItsConfiguration) {
  const fs::path pki = make_pki();
  OneAnswer daemon(listener(pki), "HTTP/1.1 200 OK\r\n\r\nok");
  const auto section = [](std::string_view name, std::string_view listen) {
    return fmt::format(
        "[{0}]\nlisten = \"{1}\"\ncertificate = \"pki/kme/KME-A/{0}.crt\"\nkey = \"pki/kme/KME-A/{0}.key\"\n"
        "ca = \"pki/{0}-ca.crt\"\n",
        name, listen);
  };
  std::ofstream(folder_ / "qkmsd.toml") << "[kme]\nid = \"KME-A\"\nstate_dir = \"state\"\nmaster_key = \"file:m\"\n"
                                        << section("sae", "127.0.0.1:0") << section("peer", "127.0.0.1:0")
                                        << section("operator", fmt::format("0.0.0.0:{}", daemon.port()));
  const Ran ran = run(as_admin(pki, {"live", "--config", folder_ / "qkmsd.toml"}));
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "ok\n");
}

TEST_F(Qkmsctl, DoesNotTrustAnotherCasServer) {
  const fs::path pki = make_pki();
  OneAnswer daemon(listener(pki, "sae"), "HTTP/1.1 200 OK\r\n\r\nok");
  const Ran ran = run(as_admin(pki, {"live", "--url", daemon.url(), "--ca", pki / "operator-ca.crt"}));
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("its certificate is refused"));
  EXPECT_EQ(daemon.finish(), "");
}

TEST_F(Qkmsctl, DoesNotTrustAServerOfAnotherName) {
  const fs::path pki = make_pki();
  const auto ca = certs::make_dev_ca("operator");
  ASSERT_TRUE(ca);
  const auto server =
      certs::issue_dev_certificate(*ca, "KME-A", certs::CertificateUse::kServer, {"DNS:kme-b.example", "IP:127.0.0.2"});
  ASSERT_TRUE(server);
  ASSERT_TRUE(certs::write_credential(*ca, folder_, "other-ca"));
  ASSERT_TRUE(certs::write_credential(*server, folder_, "other"));
  OneAnswer daemon({folder_ / "other.crt", folder_ / "other.key", pki / "operator-ca.crt"},
                   "HTTP/1.1 200 OK\r\n\r\nok");
  const Ran ran = run(as_admin(pki, {"live", "--url", daemon.url(), "--ca", folder_ / "other-ca.crt"}));
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("IP address mismatch"));
  EXPECT_EQ(daemon.finish(), "");
}

TEST_F(Qkmsctl, GivesUpOnADaemonThatSaysNothing) {
  const fs::path pki = make_pki();
  OneAnswer daemon(listener(pki), "");
  const Ran ran =
      run(as_admin(pki, {"live", "--timeout", "1", "--url", daemon.url(), "--ca", pki / "operator-ca.crt"}));
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("no answer in time"));
}

TEST_F(Qkmsctl, SaysThatNobodyListens) {
  const fs::path pki = make_pki();
  std::string url;
  {
    OneAnswer daemon(listener(pki), "");
    url = daemon.url();
  }
  const Ran ran = run(as_admin(pki, {"live", "--url", url, "--ca", pki / "operator-ca.crt"}));
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("Connection refused"));
}

TEST_F(Qkmsctl, RefusesAKeyThatOthersMayRead) {
  const fs::path pki = make_pki();
  fs::permissions(pki / "operator/admin.key", fs::perms::others_read, fs::perm_options::add);
  const Ran ran = run(as_admin(pki, {"live", "--url", "https://127.0.0.1:1", "--ca", pki / "operator-ca.crt"}));
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("admin.key: has mode 0604"));
}

}  // namespace
}  // namespace qkms::cli
