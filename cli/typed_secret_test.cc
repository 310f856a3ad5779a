// The built qkmsctl at a terminal of its own: what is typed is not shown, and the terminal is left as it was.
#include "cli/typed_secret.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

namespace qkms::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kPassphrase = "correct horse battery";

// A terminal with qkmsctl in it.
class Terminal {
 public:
  explicit Terminal(std::vector<std::string> words) {
    words.insert(words.begin(), QKMSCTL);
    std::vector<char*> raw;
    for (auto& word : words) raw.push_back(word.data());
    raw.push_back(nullptr);
    EXPECT_EQ(::openpty(&ours_, &theirs_, nullptr, nullptr, nullptr), 0);
    child_ = ::fork();
    if (child_ != 0) return;
    ::login_tty(theirs_);
    ::execv(QKMSCTL, raw.data());
    ::_exit(127);
  }
  ~Terminal() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
    ::close(ours_);
    ::close(theirs_);
  }

  void type(std::string_view text) const {
    EXPECT_EQ(::write(ours_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  // Everything that was shown, once `words` are among what was not seen before.
  std::string& see(std::string_view words) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (shown_.find(words, seen_) == std::string::npos && std::chrono::steady_clock::now() < deadline) read_some();
    EXPECT_THAT(shown_.substr(seen_), HasSubstr(words));
    seen_ = shown_.size();
    return shown_;
  }
  bool echoes() const {
    termios state{};
    EXPECT_EQ(::tcgetattr(theirs_, &state), 0);
    return (state.c_lflag & ECHO) != 0;
  }
  // What waitpid() says.
  int end() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    int status = 0;
    pid_t ended = 0;
    while (ended == 0 && std::chrono::steady_clock::now() < deadline) {
      read_some();
      ended = ::waitpid(child_, &status, WNOHANG);
    }
    EXPECT_EQ(ended, child_) << "it does not end";
    if (ended == child_) child_ = -1;
    return status;
  }

 private:
  void read_some() {
    pollfd ready{ours_, POLLIN, 0};
    if (::poll(&ready, 1, 100) <= 0) return;
    std::array<char, 512> part{};
    const ssize_t size = ::read(ours_, part.data(), part.size());
    if (size > 0) shown_.append(part.data(), static_cast<std::size_t>(size));
  }

  int ours_ = -1, theirs_ = -1;
  pid_t child_ = -1;
  std::string shown_;
  std::size_t seen_ = 0;
};

class TypedSecret : public testing::Test {
 protected:
  TypedSecret() {
    std::string name = testing::TempDir() + "qkms-typed-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~TypedSecret() override { std::filesystem::remove_all(folder_); }

  std::string source() const { return "passphrase:" + (folder_ / "passphrase").string(); }
  bool made() const { return std::filesystem::exists(folder_ / "passphrase"); }

  std::filesystem::path folder_;
};

TEST_F(TypedSecret, IsAskedTwiceAndNotShown) {
  Terminal terminal({"new-master-key", source()});
  terminal.see("a new passphrase, for the passphrase of");
  EXPECT_FALSE(terminal.echoes());
  terminal.type(std::string(kPassphrase) + "\n");
  terminal.see("the same again: ");
  terminal.type(std::string(kPassphrase) + "\n");
  EXPECT_THAT(terminal.see("made."), Not(HasSubstr("horse")));
  EXPECT_EQ(terminal.end(), 0);
  EXPECT_TRUE(terminal.echoes());
  EXPECT_TRUE(made());
}

TEST_F(TypedSecret, ThatIsNotTheSameTwiceIsRefused) {
  Terminal terminal({"new-master-key", source()});
  terminal.see("a new passphrase");
  terminal.type("correct horse battery\n");
  terminal.see("the same again: ");
  terminal.type("correct horse batterz\n");
  terminal.see("the two are not the same");
  EXPECT_EQ(WEXITSTATUS(terminal.end()), 1);
  EXPECT_FALSE(made());
}

TEST_F(TypedSecret, CanBeGivenUpAndTheTerminalEchoesAgain) {
  Terminal terminal({"new-master-key", source()});
  terminal.see("a new passphrase");
  terminal.type("correct horse\x03");
  const int status = terminal.end();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
  EXPECT_TRUE(terminal.echoes());
  EXPECT_FALSE(made());
}

}  // namespace
}  // namespace qkms::cli
