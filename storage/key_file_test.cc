// The master key's file, and the credential that is one: what is taken, and what is refused with which words (threat
// T37).
#include "storage/key_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "storage/scratch_folder.h"

namespace qkms::storage {
namespace {

using testing::HasSubstr;

class MasterKey : public testing::Test {
 protected:
  std::filesystem::path write(std::string_view content, mode_t mode = 0600) {
    std::ofstream(file_, std::ios::binary | std::ios::trunc) << content;
    ::chmod(file_.c_str(), mode);
    return file_;
  }
  void expect_refusal(const std::filesystem::path& file, std::string_view words) {
    const Result<SecretBytes> key = read_key_file(file);
    ASSERT_FALSE(key) << words;
    EXPECT_THAT(key.error().text, HasSubstr(words));
    EXPECT_THAT(key.error().text, HasSubstr(file.string()));
  }

  ScratchFolder folder_;
  std::filesystem::path file_ = folder_.path() / "master.key";
};

TEST_F(MasterKey, TakesThirtyTwoBytes) {
  const Result<SecretBytes> key = read_key_file(write(std::string(31, 'a') + "\n"));
  ASSERT_TRUE(key);
  EXPECT_EQ(key->size(), 32U);
  EXPECT_EQ(key->reveal()[31], '\n');
}

TEST_F(MasterKey, TakesHexadecimalDigitsWithOrWithoutANewline) {
  const std::string digits = "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100";
  for (const std::string& content : {digits, digits + "\n"}) {
    const Result<SecretBytes> key = read_key_file(write(content));
    ASSERT_TRUE(key);
    EXPECT_EQ(key->size(), 32U);
    EXPECT_EQ(key->reveal()[1], 0x11);
    EXPECT_EQ(key->reveal()[16], 0xff);
  }
}

TEST_F(MasterKey, RefusesWhatIsNoKey) {
  struct Case {
    const char* name;
    std::string content;
    const char* words;
  };
  const Case cases[] = {
      {"empty", "", "is empty"},
      {"short", std::string(31, 'a'), "must hold 32 bytes"},
      {"a half of the digits", std::string(32, 'a'), "as when a key of 64 was cut"},
      {"between", std::string(33, 'a'), "must hold 32 bytes"},
      {"one digit short", std::string(63, 'a'), "must hold 32 bytes"},
      {"long", std::string(66, 'a'), "too long"},
      {"two newlines", std::string(64, 'a') + "\n\n", "too long"},
      {"65 digits", std::string(65, 'a'), "must hold 32 bytes"},
      {"not hexadecimal", std::string(63, 'a') + "g", "no hexadecimal digit"},
      {"63 digits and a newline", std::string(63, 'a') + "\n", "no hexadecimal digit"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    expect_refusal(write(c.content), c.words);
  }
}

TEST_F(MasterKey, RefusesAHugeFileWithoutReadingIt) {
  write("x");
  ASSERT_EQ(::truncate(file_.c_str(), 1L << 30), 0);
  expect_refusal(file_, "too long");
}

TEST_F(MasterKey, RefusesAFileThatOthersCanReadOrWrite) {
  for (const mode_t mode : {0640, 0604, 0620, 0602, 0610, 0666}) {
    expect_refusal(write(std::string(32, 'a'), mode), "open to its group or to others");
  }
}

TEST_F(MasterKey, RefusesWhatIsNoRegularFileAndDoesNotBlock) {
  expect_refusal(folder_.path(), "is not a regular file");
  const std::filesystem::path fifo = folder_.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  expect_refusal(fifo, "is not a regular file");
  const std::filesystem::path link = folder_.path() / "link";
  std::filesystem::create_symlink(write(std::string(32, 'a')), link);
  expect_refusal(link, "is a symbolic link");
}

TEST_F(MasterKey, RefusesAFileOfAnotherUser) {
  write(std::string(32, 'a'));
  if (::chown(file_.c_str(), 12345, 12345) != 0) GTEST_SKIP() << "only root can give files away";
  expect_refusal(file_, "belongs to another user");
}

TEST_F(MasterKey, SaysThatItIsNotThere) {
  const Result<SecretBytes> key = read_key_file(folder_.path() / "none");
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, ErrorCode::kNotFound);
}

TEST_F(MasterKey, IsCreatedClosedToOthersAndDifferentEachTime) {
  ASSERT_TRUE(create_key_file(file_));
  struct stat status{};
  ASSERT_EQ(::stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  ASSERT_TRUE(create_key_file(folder_.path() / "second"));
  const Result<SecretBytes> first = read_key_file(file_), second = read_key_file(folder_.path() / "second");
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(first->equals(*second));
}

TEST_F(MasterKey, IsNeverWrittenOverAnExistingFile) {
  write("precious");
  EXPECT_FALSE(create_key_file(file_));
  EXPECT_EQ(std::filesystem::file_size(file_), 8U);
}

class Credential : public testing::Test {
 protected:
  Credential() {
    ::chmod(folder_.path().c_str(), 0700);
    ::setenv("CREDENTIALS_DIRECTORY", folder_.path().c_str(), 1);
  }
  ~Credential() override { ::unsetenv("CREDENTIALS_DIRECTORY"); }

  void write(std::string_view content, mode_t mode) const {
    const std::filesystem::path file = folder_.path() / "master";
    std::filesystem::remove(file);
    std::ofstream(file, std::ios::binary) << content;
    ::chmod(file.c_str(), mode);
  }
  Result<SecretBytes> fetch() const { return CredentialProvider("master").fetch({}); }
  void expect_refusal(std::string_view words) const {
    const Result<SecretBytes> key = fetch();
    ASSERT_FALSE(key) << words;
    EXPECT_THAT(key.error().text, HasSubstr(words));
    EXPECT_FALSE(CredentialProvider("master").check());
  }

  ScratchFolder folder_;
};

TEST_F(Credential, IsTakenAsSystemdGivesIt) {
  for (const mode_t mode : {0400, 0440}) {  // owned by the unit's user; by root, with an ACL
    write(std::string(64, 'a') + "\n", mode);
    const Result<SecretBytes> key = fetch();
    ASSERT_TRUE(key) << key.error().text;
    EXPECT_EQ(key->size(), kMasterKeyBytes);
  }
  EXPECT_FALSE(CredentialProvider("master").needs_operator());
}

TEST_F(Credential, OfWhatIsNoKeyIsRefused) {
  write("", 0400);
  expect_refusal("is empty");
  write(std::string(31, 'a'), 0400);
  expect_refusal("must hold 32 bytes");
  write(std::string(32, 'a'), 0400);
  expect_refusal("as when a key of 64 was cut");
  write(std::string(66, 'a'), 0400);
  expect_refusal("too long");
}

TEST_F(Credential, ThatOthersCanReadOrChangeIsRefused) {
  for (const mode_t mode : {0404, 0402, 0460, 0450, 0444}) {
    write(std::string(64, 'a'), mode);
    expect_refusal("open to its group or to others");
  }
  write(std::string(64, 'a'), 0400);
  ::chmod(folder_.path().c_str(), 0755);
  expect_refusal("the credentials folder");
  ::chmod(folder_.path().c_str(), 0700);
  EXPECT_TRUE(fetch());
}

TEST_F(Credential, OfAnotherUserOrBehindALinkIsRefused) {
  const std::filesystem::path file = folder_.path() / "master", target = folder_.path() / "target";
  std::ofstream(target) << std::string(64, 'a');
  ::chmod(target.c_str(), 0400);
  std::filesystem::create_symlink(target, file);
  expect_refusal("is a symbolic link");
  write(std::string(64, 'a'), 0400);
  if (::chown(file.c_str(), 12345, 12345) != 0) GTEST_SKIP() << "only root can give files away";
  expect_refusal("belongs to another user");
}

TEST_F(Credential, ThatWasNotPassedSaysWhatTheUnitNeeds) {
  EXPECT_EQ(fetch().error().code, ErrorCode::kNotFound);
  ::unsetenv("CREDENTIALS_DIRECTORY");
  const Result<SecretBytes> key = fetch();
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(key.error().text, HasSubstr("LoadCredentialEncrypted=master:/etc/qkms/master.cred"));
}

TEST_F(Credential, IsNotMadeHere) {
  EXPECT_THAT(CredentialProvider("master").create({}).error().text, HasSubstr("systemd-creds encrypt --name=master"));
}

}  // namespace
}  // namespace qkms::storage
