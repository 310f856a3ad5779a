#include "drivers/example/framed_pipe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file_descriptor.h"
#include "drivers/testing/bits.h"
#include "drivers/testing/fake_host.h"

namespace qkms::drivers {
namespace {

class FramedPipeTest : public testing::Test {
 protected:
  FramedPipeTest() {
    std::string name = testing::TempDir() + "/qkms-pipe-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    device_ = folder_ / "device";
    EXPECT_EQ(::mkfifo(device_.c_str(), 0600), 0);
    // Open for both: the pipe has a writer before the driver looks.
    writer_.emplace(::open(device_.c_str(), O_RDWR | O_CLOEXEC));
    driver_ = make_framed_pipe_driver(device_);
  }
  ~FramedPipeTest() override { std::filesystem::remove_all(folder_); }

  void write(std::span<const std::uint8_t> bytes) {
    ASSERT_EQ(::write(writer_->get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void write_frame(std::uint8_t id, std::size_t size) {
    std::array<std::uint8_t, 24> header{'Q', 'K', 'D', '1', id};
    header[22] = static_cast<std::uint8_t>(size >> 8);
    header[23] = static_cast<std::uint8_t>(size);
    write(header);
    write(random_bits(size, id).reveal());
  }

  std::filesystem::path folder_, device_;
  std::optional<FileDescriptor> writer_;
  std::unique_ptr<Driver> driver_;
  KeepingHost host_;
};

TEST_F(FramedPipeTest, TurnsFramesIntoBlocks) {
  RunningDriver running(*driver_, host_);
  write_frame(1, 64);
  write_frame(2, 300);
  ASSERT_TRUE(host_.wait_for_blocks(2));
  ASSERT_TRUE(running.stop());
  EXPECT_EQ(host_.blocks()[1].id.bytes()[0], 2);
  EXPECT_TRUE(host_.blocks()[1].bits.equals(random_bits(300, 2)));
}

TEST_F(FramedPipeTest, EndsWhenItReadsNonsense) {
  RunningDriver running(*driver_, host_);
  write(random_bits(24, 1).reveal());
  EXPECT_EQ(running.wait().error().text, "no frame begins here");
}

TEST_F(FramedPipeTest, StopsInTheMiddleOfAFrame) {
  RunningDriver running(*driver_, host_);
  write(random_bits(10, 1).reveal());
  EXPECT_TRUE(running.stop());
}

TEST_F(FramedPipeTest, SaysThatThereIsNoDevice) {
  const auto none = make_framed_pipe_driver(folder_ / "none");
  EXPECT_FALSE(none->probe());
  EXPECT_FALSE(none->run(host_, {}));
  EXPECT_TRUE(driver_->probe());
}

}  // namespace
}  // namespace qkms::drivers
