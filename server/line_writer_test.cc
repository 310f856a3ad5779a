#include "server/line_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace qkms::server {
namespace {

using std::chrono::milliseconds;

std::string apology(std::uint64_t lines) { return std::to_string(lines) + " lost\n"; }

std::string line_of(int number) { return std::to_string(number) + std::string(100, '.') + "\n"; }

// Two ends: a pipe, or a stream socket as service managers use.
class Ends : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) {
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_), 0);
      std::swap(ends_[0], ends_[1]);
    } else {
      ASSERT_EQ(::pipe(ends_), 0);
    }
  }
  ~Ends() override {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  int writing() const { return ends_[1]; }
  // What there is now.
  std::string read_all() {
    std::string all;
    char buffer[4096];
    ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    for (ssize_t done = 0; (done = ::read(ends_[0], buffer, sizeof buffer)) > 0;)
      all.append(buffer, static_cast<std::size_t>(done));
    return all;
  }
  int ends_[2] = {-1, -1};
};

TEST_P(Ends, GetEachLineAtOnce) {
  LineWriter writer(writing(), apology);
  writer.write("one\n");
  EXPECT_EQ(read_all(), "one\n");
  writer.write("two\n");
  EXPECT_EQ(read_all(), "two\n");
  EXPECT_EQ(writer.lost(), 0u);
}

TEST_P(Ends, LoseNothingWhileAReaderIsOnlySlow) {
  LineWriter writer(writing(), apology);
  std::string wanted, got;
  for (int i = 0; i < 8000; ++i) {  // far more than fits between the two
    wanted += line_of(i);
    writer.write(line_of(i));
  }
  while (got.size() < wanted.size()) {
    const std::string more = read_all();
    got += more;
    writer.write_waiting();
    ASSERT_FALSE(more.empty()) << "after " << got.size();
  }
  EXPECT_EQ(got, wanted);
  EXPECT_EQ(writer.lost(), 0u);
}

TEST_P(Ends, NeverStopTheWriterAndTellWhatWasLost) {
  LineWriter writer(writing(), apology);
  const std::uint64_t lines = 3 * LineWriter::kMostWaiting / line_of(0).size();
  for (std::uint64_t i = 0; i < lines; ++i) writer.write(line_of(0));
  const std::uint64_t lost = writer.lost();
  EXPECT_GT(lost, 0u);
  std::string got;
  for (std::string more = read_all(); !more.empty(); more = read_all()) {
    got += more;
    writer.write_waiting();
  }
  EXPECT_EQ(static_cast<std::uint64_t>(std::ranges::count(got, '\n')), lines - lost);
  writer.write("again\n");
  EXPECT_EQ(read_all(), apology(lost) + "again\n");
}

TEST_P(Ends, WaitAtTheEndNoLongerThanTheyMust) {
  LineWriter writer(writing(), apology);
  for (int i = 0; i < 8000; ++i) writer.write(line_of(i));
  writer.finish(milliseconds(1));  // nobody reads: it returns
  std::string got;
  std::jthread reader([&] {
    while (got.find(line_of(7999)) == std::string::npos) got += read_all();
  });
  writer.finish(milliseconds(60'000));
  reader.join();
  EXPECT_EQ(writer.lost(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Of, Ends, ::testing::Values(false, true),
                         [](const auto& end) { return end.param ? "ASocket" : "APipe"; });

TEST(LineWriter, GoesOnWhenNobodyCanEverRead) {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  LineWriter writer(full, apology);
  for (int i = 0; i < 10; ++i) writer.write("a line\n");
  EXPECT_GE(writer.lost(), 10u);
  ::close(full);
}

}  // namespace
}  // namespace qkms::server
