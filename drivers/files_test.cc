#include "drivers/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "drivers/testing/bits.h"
#include "drivers/testing/fake_host.h"

namespace qkms::drivers {
namespace {

namespace fs = std::filesystem;

const LinkId kLink = LinkId::parse("A-B").value();

class FilesDriverTest : public testing::Test {
 protected:
  FilesDriverTest() {
    std::string name = testing::TempDir() + "/qkms-files-XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~FilesDriverTest() override { fs::remove_all(folder_); }

  void put(const fs::path& path, const SecretBytes& bits) {
    std::ofstream out(folder_ / path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bits.reveal().data()), static_cast<std::streamsize>(bits.size()));
  }
  // As a careful writer does it.
  void deliver(const std::string& name, const SecretBytes& bits) {
    put(name + ".part", bits);
    fs::rename(folder_ / (name + ".part"), folder_ / name);
  }
  std::unique_ptr<Driver> driver(AfterIngest after = AfterIngest::kWipe) {
    FilesSettings settings;
    settings.folder = folder_;
    settings.after = after;
    settings.settle_ms = 0;
    settings.look_ms = 20;
    return make_files_driver(kLink, settings);
  }

  fs::path folder_;
  KeepingHost host_;
};

TEST_F(FilesDriverTest, TakesWhatIsThereAndWhatComesAndLeavesNothingOfIt) {
  deliver("old", random_bits(64, 1));
  const auto files = driver();
  RunningDriver running(*files, host_);
  ASSERT_TRUE(host_.wait_for_blocks(1));
  deliver("new", random_bits(100, 2));
  put("closed", random_bits(200, 3));
  ASSERT_TRUE(host_.wait_for_blocks(3));
  ASSERT_TRUE(running.stop());
  EXPECT_EQ(host_.blocks()[0].bits.size(), 64u);
  EXPECT_EQ(host_.blocks()[1].bits.size(), 100u);
  EXPECT_TRUE(host_.blocks()[1].bits.equals(random_bits(100, 2)));
  for (const auto& entry : fs::recursive_directory_iterator(folder_)) EXPECT_TRUE(entry.is_directory()) << entry.path();
}

TEST_F(FilesDriverTest, KeepsFilesWhenToldSo) {
  deliver("one", random_bits(64, 1));
  const auto files = driver(AfterIngest::kKeep);
  RunningDriver running(*files, host_);
  ASSERT_TRUE(host_.wait_for_blocks(1));
  ASSERT_TRUE(running.stop());
  EXPECT_TRUE(fs::exists(folder_ / "done" / "one"));
  EXPECT_EQ(fs::status(folder_ / "done").permissions(), fs::perms::owner_all);
}

TEST_F(FilesDriverTest, LeavesHalfWrittenFilesAlone) {
  put("a.part", random_bits(64, 1));
  put("b.tmp", random_bits(64, 2));
  put(".hidden", random_bits(64, 3));
  const auto files = driver();
  RunningDriver running(*files, host_);
  deliver("last", random_bits(64, 4));
  ASSERT_TRUE(host_.wait_for_blocks(1));
  ASSERT_TRUE(running.stop());
  EXPECT_EQ(host_.blocks().size(), 1u);
  EXPECT_TRUE(fs::exists(folder_ / "a.part") && fs::exists(folder_ / "b.tmp") && fs::exists(folder_ / ".hidden"));
}

// 4F of the corpus: 0 bytes, a link, a FIFO; 1 GB as a hole.
TEST_F(FilesDriverTest, PutsAsideWhatIsNoKeyFile) {
  put("empty", {});
  fs::create_symlink("/dev/zero", folder_ / "link");
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  put("huge", {});
  fs::resize_file(folder_ / "huge", std::uintmax_t{1} << 30);
  fs::create_directory(folder_ / "folder");
  const auto files = driver();
  RunningDriver running(*files, host_);
  ASSERT_TRUE(host_.wait_for_rejections(4));
  ASSERT_TRUE(running.stop());
  EXPECT_EQ(host_.rejected()[0], "empty: it has fewer than 64 bytes");
  EXPECT_EQ(host_.rejected()[1], "fifo: it is not a regular file");
  EXPECT_EQ(host_.rejected()[2], "huge: it has more than 67108864 bytes");
  EXPECT_EQ(host_.rejected()[3], "link: it is a symbolic link");
  EXPECT_TRUE(host_.blocks().empty());
  EXPECT_TRUE(fs::exists(folder_ / "refused" / "huge"));
  EXPECT_TRUE(fs::exists(folder_ / "folder"));
}

// Died between taking a file and wiping it: the next start offers its blocks again, under the same IDs.
TEST_F(FilesDriverTest, GoesOnWithAFileThatWasTaken) {
  fs::create_directory(folder_ / "taken");
  put("taken/one", random_bits(64, 1));
  const auto files = driver();
  RunningDriver running(*files, host_);
  ASSERT_TRUE(host_.wait_for_blocks(1));
  ASSERT_TRUE(running.stop());
  EXPECT_EQ(host_.blocks()[0].id, blocks_of_file(FileFormat::kRaw, kLink, "one", random_bits(64, 1))->front().id);
}

TEST_F(FilesDriverTest, SaysWhenTheFolderIsNotThereOrGoes) {
  FilesSettings settings;
  settings.folder = folder_ / "none";
  const auto files = make_files_driver(kLink, settings);
  const Result<void> ended = files->run(host_, {});
  ASSERT_FALSE(ended);
  EXPECT_NE(ended.error().text.find("No such file"), std::string::npos) << ended.error().text;
  EXPECT_FALSE(files->probe());
  settings.folder = folder_ / "some";
  fs::create_directory(settings.folder);
  const auto other = make_files_driver(kLink, settings);
  EXPECT_TRUE(other->probe());
  RunningDriver running(*other, host_);
  ASSERT_TRUE(host_.wait_for_reports(1));
  fs::remove_all(settings.folder);
  EXPECT_FALSE(running.wait());
}

}  // namespace
}  // namespace qkms::drivers
