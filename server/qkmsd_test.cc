// The built binary: its command line, exit codes, signals and protections.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "server/testing/site.h"
#include "storage/key_file.h"

namespace qkms::server::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

class QkmsdTest : public ::testing::Test {
 protected:
  QkmsdTest() {
    EXPECT_TRUE(storage::create_key_file(folder_.path() / "master.key"));
    write_config("");
  }
  ~QkmsdTest() override {
    if (process_ > 0) finish(SIGKILL);
  }

  void write_config(const std::string& more) {
    std::ofstream out(folder_.path() / "qkmsd.toml");
    out << "[kme]\nid = \"KME-A\"\nstate_dir = \"state\"\nmaster_key = \"file:master.key\"\n";
    for (const std::string name : {"sae", "peer", "operator"}) {
      const std::string files = pki_.file("kme/KME-A/" + name).string();
      out << "[" << name << "]\nlisten = \"127.0.0.1:0\"\ncertificate = \"" << files << ".crt\"\nkey = \"" << files
          << ".key\"\nca = \"" << pki_.file(name + "-ca.crt").string() << "\"\n";
    }
    out << "[[saes]]\nid = \"SAE-A\"\nkme = \"KME-A\"\n" << more;
  }

  void start(std::vector<std::string> arguments) {
    process_ = ::fork();
    if (process_ != 0) return;
    const int out = ::creat((folder_.path() / "out").c_str(), 0600);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    std::vector<char*> pointers = {const_cast<char*>(QKMSD)};
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    ::execv(QKMSD, pointers.data());
    ::_exit(127);
  }
  int finish(int signal = 0) {
    if (signal != 0) ::kill(process_, signal);
    int status = 0;
    ::waitpid(process_, &status, 0);
    process_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int run(std::vector<std::string> arguments) {
    start(std::move(arguments));
    return finish();
  }
  std::string config() const { return (folder_.path() / "qkmsd.toml").string(); }
  std::filesystem::path ports() const { return folder_.path() / "state" / "ports.json"; }
  std::string output() const { return contents(folder_.path() / "out"); }

  Pki pki_;
  storage::ScratchFolder folder_;
  pid_t process_ = 0;
};

TEST_F(QkmsdTest, ExplainsItself) {
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_THAT(output(), HasSubstr("qkmsd --config FILE"));
  EXPECT_EQ(run({"--version"}), 0);
  EXPECT_THAT(output(), StartsWith("qkmsd "));
  EXPECT_EQ(run({}), 64);
  EXPECT_EQ(run({"--nonsense"}), 64);
}

TEST_F(QkmsdTest, ChecksAConfigurationWithoutStarting) {
  std::filesystem::create_directory(folder_.path() / "state");
  EXPECT_EQ(run({"check", "--config", config()}), 0) << output();
  EXPECT_FALSE(std::filesystem::exists(ports()));
  write_config("nonsense = 1\n");
  EXPECT_EQ(run({"check", "--config", config()}), 78);
  EXPECT_THAT(output(), HasSubstr("nonsense"));
  EXPECT_EQ(run({"--config", config()}), 78);
  EXPECT_EQ(run({"check", "--config", "/nowhere"}), 78);
}

TEST_F(QkmsdTest, RunsUntilItIsToldToStop) {
  for (const int signal : {SIGTERM, SIGINT}) {
    std::filesystem::remove(ports());
    start({"--config", config()});
    ASSERT_TRUE(eventually([&] { return std::filesystem::exists(ports()); })) << output();
    EXPECT_THAT(contents(ports()),
                ::testing::ContainsRegex("\\{\"sae\":[0-9]+,\"peer\":[0-9]+,\"operator\":[0-9]+\\}"));
    EXPECT_EQ(finish(signal), 0);
    EXPECT_THAT(output(),
                ::testing::ContainsRegex("\\{\"time\":\"[^\"]+Z\",\"level\":\"info\",\"message\":\"KME KME-A serves"));
  }
}

TEST_F(QkmsdTest, ProtectsItsMemoryAndItsFiles) {
  start({"--config", config()});
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(ports()); })) << output();
  struct stat state{};
  ASSERT_EQ(::stat((folder_.path() / "state").c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 0777, 0700u);
  ASSERT_EQ(::stat(ports().c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 0077, 0u);
  const std::string limits = contents("/proc/" + std::to_string(process_) + "/limits");
  EXPECT_THAT(limits, ::testing::ContainsRegex("Max core file size +0 +0 "));
  EXPECT_EQ(finish(SIGTERM), 0);
}

TEST_F(QkmsdTest, LeavesAStoreAloneThatAnotherDaemonHas) {
  start({"--config", config()});
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(ports()); })) << output();
  const pid_t first = std::exchange(process_, 0);
  EXPECT_EQ(run({"--config", config()}), 75) << output();
  process_ = first;
  EXPECT_EQ(finish(SIGTERM), 0);
}

}  // namespace
}  // namespace qkms::server::testing
