// What kme.master_key may say, and a passphrase as the source of a key (threat T37).
#include "storage/master_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "storage/passphrase.h"
#include "storage/scratch_folder.h"

namespace qkms::storage {
namespace {

using testing::HasSubstr;
using Scheme = MasterKeySource::Scheme;

SecretBytes bytes_of(std::string_view text) {
  return SecretBytes::copy_of({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

TEST(MasterKeySourceText, HasASchemeAndAPlace) {
  for (const auto& [text, scheme] :
       {std::pair("file:/a", Scheme::kFile), std::pair("credential:master", Scheme::kCredential),
        std::pair("passphrase:p p", Scheme::kPassphrase), std::pair("pkcs11:token=t;object=o", Scheme::kPkcs11)}) {
    const auto source = parse_master_key_source(text);
    ASSERT_TRUE(source) << text;
    EXPECT_EQ(source->scheme, scheme) << text;
    EXPECT_EQ(text_of(*source), text);
  }
}

TEST(MasterKeySourceText, IsRefusedWhenItNamesNothingOfOurs) {
  using std::string_literals::operator""s;
  for (const std::string& text : {""s, "/etc/qkms/master.key"s, "file:"s, "FILE:/a"s, "files:/a"s, "http://a"s,
                                  "file:/a\nb"s, "file:/a\0b"s, "file:" + std::string(5000, 'a')}) {
    const auto source = parse_master_key_source(text);
    ASSERT_FALSE(source) << text;
    EXPECT_THAT(source.error().text, HasSubstr("file:PATH"));
  }
}

TEST(MasterKeySourceText, RelativePathsStartAtAFolder) {
  EXPECT_EQ(resolved({Scheme::kFile, "../m"}, "/etc/qkms").place, "/etc/m");
  EXPECT_EQ(resolved({Scheme::kPassphrase, "p"}, "/etc/qkms").place, "/etc/qkms/p");
  EXPECT_EQ(resolved({Scheme::kFile, "/m"}, "/etc/qkms").place, "/m");
  EXPECT_EQ(resolved({Scheme::kCredential, "m"}, "/etc/qkms").place, "m");
}

TEST(MasterKeyProvider, IsNotMadeFromWhatNamesNoKey) {
  EXPECT_FALSE(make_master_key_provider({}));
  for (const char* const name : {"..", "a/b", "a b", "a:b"}) {
    const auto provider = make_master_key_provider({Scheme::kCredential, name});
    ASSERT_FALSE(provider) << name;
    EXPECT_EQ(provider.error().code, ErrorCode::kInvalid);
  }
}

class Passphrase : public testing::Test {
 protected:
  std::unique_ptr<MasterKeyProvider> provider() const {
    return make_master_key_provider({Scheme::kPassphrase, file_.string()}).value();
  }
  void write(std::string_view content) const { std::ofstream(file_, std::ios::trunc) << content; }
  std::string content() const {
    std::stringstream text;
    text << std::ifstream(file_).rdbuf();
    return text.str();
  }
  void expect_refusal(std::string_view words) const {
    const Result<SecretBytes> key = provider()->fetch(bytes_of(kTyped));
    ASSERT_FALSE(key) << words;
    EXPECT_EQ(key.error().code, ErrorCode::kInvalid) << key.error().text;
    EXPECT_THAT(key.error().text, HasSubstr(words));
    EXPECT_FALSE(provider()->check());
  }

  static constexpr std::string_view kTyped = "correct horse battery";
  // Made by OpenSSL's own program, and cheap: openssl kdf -keylen 34 -kdfopt pass:'correct horse battery'
  //   -kdfopt hexsalt:$(printf '00%.0s' $(seq 32)) -kdfopt n:16384 -kdfopt r:8 -kdfopt p:1 SCRYPT
  static constexpr std::string_view kCheap = "qkms-scrypt-1 n=16384 r=8 p=1 salt=";
  const std::string kZeroSalt = std::string(64, '0');

  ScratchFolder folder_;
  std::filesystem::path file_ = folder_.path() / "passphrase";
};

TEST_F(Passphrase, GivesTheSameKeyAgainAndTakesNoOther) {
  ASSERT_TRUE(provider()->create(bytes_of(kTyped)));
  EXPECT_THAT(content(), testing::StartsWith("qkms-scrypt-1 n=131072 r=8 p=1 salt="));
  struct stat status{};
  ASSERT_EQ(::stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  ASSERT_TRUE(provider()->check());
  const Result<SecretBytes> first = provider()->fetch(bytes_of(kTyped));
  ASSERT_TRUE(first) << first.error().text;
  EXPECT_EQ(first->size(), kMasterKeyBytes);
  EXPECT_TRUE(provider()->fetch(bytes_of(kTyped)).value().equals(*first));
  const Result<SecretBytes> wrong = provider()->fetch(bytes_of("correct horse batterz"));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::kUnauthorised);
  EXPECT_THAT(wrong.error().text, testing::Not(HasSubstr("horse")));
}

TEST_F(Passphrase, MustBeTyped) {
  write(std::string(kCheap) + kZeroSalt + " check=67ff\n");
  EXPECT_TRUE(provider()->needs_operator());
  EXPECT_EQ(provider()->asks_for(), "passphrase");
  const Result<SecretBytes> key = provider()->fetch({});
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, ErrorCode::kUnauthorised);
}

// RFC 7914's function and no other: the bytes are OpenSSL's program's.
TEST_F(Passphrase, IsScrypt) {
  write(std::string(kCheap) + kZeroSalt + " check=67ff\n");
  const Result<SecretBytes> key = provider()->fetch(bytes_of(kTyped));
  ASSERT_TRUE(key) << key.error().text;
  EXPECT_THAT(key->reveal().first(4), testing::ElementsAre(0x4c, 0x95, 0x7a, 0xa8));
  EXPECT_THAT(key->reveal().last(4), testing::ElementsAre(0x3e, 0xd6, 0x75, 0x8a));
}

TEST_F(Passphrase, OfTheSameWordsGivesAnotherKeyWithAnotherSalt) {
  write(std::string(kCheap) + std::string(64, '1') + " check=67ff\n");
  const Result<SecretBytes> key = provider()->fetch(bytes_of(kTyped));
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, ErrorCode::kUnauthorised);
}

TEST_F(Passphrase, FilesThatAskForTooMuchOrSayTooLittleAreRefused) {
  const std::string salt = " salt=" + kZeroSalt, check = " check=0000\n";
  struct Case {
    const char* name;
    std::string content;
    const char* words;
  };
  const Case cases[] = {
      {"empty", "", "does not begin with qkms-scrypt-1"},
      {"another version", "qkms-scrypt-2 n=131072 r=8 p=1" + salt + check, "does not begin with"},
      {"n too small", "qkms-scrypt-1 n=8192 r=8 p=1" + salt + check, "power of 2, 16384 to 1048576"},
      {"n too large", "qkms-scrypt-1 n=2097152 r=8 p=1" + salt + check, "power of 2, 16384 to 1048576"},
      {"n no power of 2", "qkms-scrypt-1 n=131073 r=8 p=1" + salt + check, "power of 2"},
      {"n beyond 64 bits", "qkms-scrypt-1 n=99999999999999999999 r=8 p=1" + salt + check, "power of 2"},
      {"n negative", "qkms-scrypt-1 n=-131072 r=8 p=1" + salt + check, "power of 2"},
      {"r too large", "qkms-scrypt-1 n=131072 r=33 p=1" + salt + check, "r (8 to 32)"},
      {"p of 0", "qkms-scrypt-1 n=131072 r=8 p=0" + salt + check, "p (1 to 16)"},
      {"p too large", "qkms-scrypt-1 n=131072 r=8 p=17" + salt + check, "p (1 to 16)"},
      {"too much memory", "qkms-scrypt-1 n=1048576 r=16 p=1" + salt + check, "more than 1 GiB"},
      {"another order", "qkms-scrypt-1 r=8 n=131072 p=1" + salt + check, "power of 2"},
      {"short salt", "qkms-scrypt-1 n=131072 r=8 p=1 salt=00" + check, "salt= and 64"},
      {"no check", "qkms-scrypt-1 n=131072 r=8 p=1" + salt + "\n", "check= and 4"},
      {"more behind it", "qkms-scrypt-1 n=131072 r=8 p=1" + salt + " check=0000 x=1\n", "must end in"},
      {"two lines", "qkms-scrypt-1 n=131072 r=8 p=1" + salt + check + "\n", "must end in"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    write(c.content);
    expect_refusal(c.words);
  }
}

TEST_F(Passphrase, FilesThatAreNoneAreRefusedAndDoNotBlock) {
  EXPECT_EQ(provider()->fetch(bytes_of(kTyped)).error().code, ErrorCode::kNotFound);
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  EXPECT_THAT(provider()->check().error().text, HasSubstr("is not a file"));
  std::filesystem::remove(file_);
  write(std::string(1000, 'a'));
  EXPECT_THAT(provider()->check().error().text, HasSubstr("too long"));
}

TEST_F(Passphrase, IsNotMadeTooShortOrOverAnother) {
  EXPECT_THAT(provider()->create(bytes_of("fourteen bytes")).error().text, HasSubstr("15 to 1024 bytes"));
  EXPECT_FALSE(provider()->create(bytes_of(std::string(kMaxTypedBytes + 1, 'a'))));
  write("precious");
  EXPECT_FALSE(provider()->create(bytes_of(kTyped)));
  EXPECT_EQ(content(), "precious");
}

}  // namespace
}  // namespace qkms::storage
